"""Which containers of a log root are read."""

from __future__ import annotations

import pytest

from logproc.errors import ExpressionError
from logproc.model import Stream
from logproc.selection import LabelSelector, Selection

WEB = {"app": "web", "tier": "front", "example.com/track": "stable"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app=web,tier=back", False),
        ("app!=web", False),
        ("missing!=x", True),
        ("tier in (front, back)", True),
        ("tier notin (front,back)", False),
        ("missing notin (a)", True),
        ("example.com/track=stable", True),
        ("example.com/track", True),
        ("missing", False),
        ("!missing", True),
        ("! app", False),
        ("app=", False),
    ],
)
def test_selectors_mean_what_kubectl_means(text: str, fits: bool) -> None:
    assert LabelSelector.parse(text).fits(WEB) is fits


@pytest.mark.parametrize(("text", "column"), [("", 1), ("app=web,", 9), ("app=we b", 8), ("app in web", 5), ("=x", 1)])
def test_a_selector_that_does_not_read_is_refused_with_the_place(text: str, column: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        LabelSelector.parse(text)
    assert refused.value.column == column


def test_containers_and_namespaces() -> None:
    chosen = Selection.parse("istio-proxy, ztunnel", "shop,team-*")

    assert chosen.takes("ztunnel")
    assert not chosen.takes("app")
    assert chosen.takes_pod("team-a", "u")
    assert not chosen.takes_pod("kube-system", "u")
    assert not chosen.takes_stream(Stream("/x", "kube-system", "p", "istio-proxy", "u"))
    assert Selection.parse("*").takes("anything")


def test_a_pod_whose_labels_are_not_known_waits() -> None:
    known: dict[str, dict[str, str]] = {}
    chosen = Selection(labels=LabelSelector.parse("app=web"), labels_of=known.get)

    assert not chosen.takes_pod("shop", "u1")
    known["u1"] = WEB
    assert chosen.takes_pod("shop", "u1")
