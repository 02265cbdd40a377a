"""A simulated mesh that writes what kubelets and proxies write: test data for anybody, and the demo's traffic."""

from logproc.simulator.render import format_names
from logproc.simulator.run import SimulateOptions, Summary, simulate
from logproc.simulator.topologies import BUILDERS, topology

__all__ = ["BUILDERS", "SimulateOptions", "Summary", "format_names", "simulate", "topology"]
