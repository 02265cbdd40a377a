"""logproc: Envoy and Istio access logs to typed columns in ClickHouse, every line exactly once."""

__version__ = "0.1.0"
