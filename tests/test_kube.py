"""What the names of pods and files tell."""

from __future__ import annotations

import pytest

from logproc import kube


@pytest.mark.parametrize(
    ("pod", "app"),
    [
        ("productpage-v1-6b746f74dc-9rlmh", "productpage-v1"),
        ("istio-ingressgateway-5d99c5c6d-zx7k2", "istio-ingressgateway"),
        ("web-0", "web"),
        ("ztunnel-bqv8d", "ztunnel"),
        ("backup-27890123-x2x4z", "backup"),
        ("web", "web"),
        ("", ""),
    ],
)
def test_the_application_behind_a_pod(pod: str, app: str) -> None:
    assert kube.app_of(pod) == app


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("0.log", (0, "", False)),
        ("12.log.20261120-101500", (12, "20261120-101500", False)),
        ("0.log.20261120-101500.gz", (0, "20261120-101500", True)),
        ("0.log.20261120-101500.tmp", None),
        ("notes.txt", None),
    ],
)
def test_log_file_names(name: str, parsed: tuple[int, str, bool] | None) -> None:
    assert kube.log_name(name) == parsed


def test_a_path_of_another_layout_is_no_container_log() -> None:
    assert kube.stream_of("/var/log/nginx/0.log") is None
