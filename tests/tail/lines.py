"""Access-log lines of Istio's default format, as the storefront's proxy would write them."""

from __future__ import annotations


def inbound(
    n: int = 1,
    *,
    path: str = "/api/catalogue",
    code: int = 200,
    flags: str = "-",
    details: str = "via_upstream",
    duration: int = 12,
    subset: str = "",
    agent: str = "Mozilla/5.0",
    method: str = "GET",
    service: str = "storefront.mushop.svc.cluster.local",
) -> str:
    """A server's line; `n` makes its second and request id."""
    return (
        f'[2026-11-21T10:00:{n % 60:02d}.{n % 1000:03d}Z] "{method} {path} HTTP/1.1" {code} {flags} {details} - "-" 0 178 {duration} '
        f'{max(duration - 1, 0)} "10.244.0.7" "{agent}" "5f0c2e1a-0000-4000-8000-{n:012d}" "mushop.example.com" "10.0.0.2:8080" '
        f"inbound|8080|| 127.0.0.6:41854 10.0.0.2:8080 10.244.0.7:0 outbound_.80_.{subset}_.{service} default"
    )


def outbound(
    n: int = 1,
    *,
    path: str = "/api/catalogue",
    code: int = 200,
    flags: str = "-",
    details: str = "via_upstream",
    duration: int = 12,
    subset: str = "",
    service: str = "storefront.mushop.svc.cluster.local",
) -> str:
    """A client's line."""
    host = '"10.0.0.2:80"' if flags == "-" else '"-"'
    return (
        f'[2026-11-21T10:00:{n % 60:02d}.{n % 1000:03d}Z] "GET {path} HTTP/1.1" {code} {flags} {details} - "-" 0 178 {duration} '
        f'{max(duration - 1, 0)} "-" "curl/8" "5f0c2e1a-0000-4000-8000-{n:012d}" "{service}" {host} '
        f"outbound|80|{subset}|{service} 10.0.0.9:41854 10.96.0.2:80 10.0.0.9:3333 - default"
    )


MESSAGE = "2026-11-21T10:00:00.000000Z\tinfo\tEnvoy proxy is ready"
