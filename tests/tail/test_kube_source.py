"""Following containers over the API: nothing lost, nothing twice, whatever happens to connections, files, pods and tokens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from logproc.tail.pods import Choice
from tests.fake_api.server import FakeApi, Refusal
from tests.tail.kube import source_over

POD = "web-7d4b9c6f5-2xk8p"


def numbered(first: int, end: int) -> list[str]:
    return [f"line {n}" for n in range(first, end)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logproc.tail.follow.SOONEST_SECONDS", 0.02)


def test_begins_with_the_last_lines_and_goes_on(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    api.write(POD, *numbered(0, 30))

    with source_over(api, tmp_path, monkeypatch, last_lines=10) as seen:
        seen.until(lambda: len(seen.of(POD)) == 10)
        api.write(POD, *numbered(30, 35))
        seen.until(lambda: len(seen.of(POD)) == 15)

    assert seen.of(POD) == numbered(20, 35)


def test_ten_cut_connections_and_ten_rotations_lose_and_double_nothing(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    written = 0
    with source_over(api, tmp_path, monkeypatch) as seen:
        for turn in range(20):
            api.write(POD, *numbered(written, written + 50))
            written += 50
            seen.until_count(POD, written)
            if turn % 2:
                api.rotate(POD)
                api.write(POD, f"line {written}")
                written += 1
                seen.until_count(POD, written)
            else:
                assert api.cut() == 1
                seen.until_more_requests()
        seen.until_count(POD, written)
        seen.for_(0.2)

    assert seen.of(POD) == numbered(0, written)
    assert seen.source.counts.gaps == 0


def test_lines_written_while_the_connection_is_cut_come_with_the_next(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, *numbered(0, 5))
        seen.until(lambda: len(seen.of(POD)) == 5)
        with api.refusing(Refusal(500, "node is away"), path="/log"):
            api.cut()
            api.write(POD, *numbered(5, 50))
            seen.for_(0.3)
        seen.until(lambda: len(seen.of(POD)) == 50)

    assert seen.of(POD) == numbered(0, 50)
    # The reopened response began at the whole second of the last line, not at the beginning.
    assert "sinceTime" in api.log_requests()[-1]


def test_a_rotation_during_a_cut_is_told(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, *numbered(0, 5))
        seen.until(lambda: len(seen.of(POD)) == 5)
        with api.refusing(Refusal(500), path="/log"):
            api.cut()
            api.write(POD, "lost with the old file")
            api.rotate(POD)
            api.write(POD, *numbered(5, 8))
            seen.for_(0.1)
        seen.until(lambda: len(seen.of(POD)) == 8)

    assert seen.of(POD) == numbered(0, 8)
    assert seen.heard("may be missing")
    assert seen.source.counts.gaps == 1


def test_a_follow_that_ends_in_order_while_the_container_runs_is_opened_again(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, *numbered(0, 5))
        seen.until(lambda: len(seen.of(POD)) == 5)
        for turn in range(3):
            api.end()
            api.write(POD, f"line {5 + turn}")
            seen.until(lambda turn=turn: len(seen.of(POD)) == 6 + turn)  # type: ignore[misc]

    assert seen.of(POD) == numbered(0, 8)


def test_a_silent_follow_is_opened_again(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch, silent_seconds=0.3) as seen:
        api.write(POD, "line 0")
        seen.until(lambda: len(seen.of(POD)) == 1)
        # Half open: the server believes that it still sends, nothing arrives.
        api.logs[POD, "istio-proxy"].written = []
        seen.until(lambda: len(api.log_requests()) >= 3)
        api.write(POD, "line 1")
        seen.until(lambda: len(seen.of(POD)) == 2)

    assert seen.of(POD) == numbered(0, 2)


def test_a_container_silent_since_the_start_loses_nothing(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch, last_lines=0, silent_seconds=0.2) as seen:
        seen.until(lambda: len(api.log_requests()) >= 3)
        api.write(POD, *numbered(0, 3))
        seen.until(lambda: len(seen.of(POD)) == 3)

    assert seen.of(POD) == numbered(0, 3)


def test_a_restart_goes_on_with_the_next_log_from_its_first_line(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    api.write(POD, "not wanted", "nor this", "before")
    with source_over(api, tmp_path, monkeypatch, last_lines=1) as seen:
        seen.until(lambda: seen.of(POD) == ["before"])
        api.restart(POD, reason="OOMKilled")
        api.write(POD, *numbered(0, 20))
        seen.until(lambda: len(seen.of(POD)) == 21)

    assert seen.of(POD) == ["before", *numbered(0, 20)]
    assert seen.heard("restarted (OOMKilled, exit code 137)")


def test_what_a_cut_connection_kept_back_before_a_restart_is_read_from_the_previous_log(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, "line 0")
        seen.until(lambda: len(seen.of(POD)) == 1)
        with api.refusing(Refusal(503), path="/log"):
            api.cut()
            api.write(POD, "line 1", "line 2")
            api.restart(POD)
            api.write(POD, "line 3")
            seen.for_(0.1)
        seen.until(lambda: len(seen.of(POD)) == 4)

    assert seen.of(POD) == numbered(0, 4)


def test_pods_that_come_later_join_from_their_first_line_and_pods_that_go_are_left(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch, last_lines=0) as seen:
        api.add("web-new", running=False)
        api.add("other-1", labels={"app": "other"})
        api.write("web-new", *numbered(0, 15))
        seen.for_(0.3)
        assert seen.of("web-new") == []
        api.runs("web-new")
        seen.until(lambda: len(seen.of("web-new")) == 15)
        api.write(POD, "last words")
        api.remove(POD)
        seen.until(lambda: seen.heard(f"- {POD} is gone") and seen.of(POD) == ["last words"])
        seen.until(lambda: seen.source.status().files == 1)

    assert seen.heard("+ web-new/istio-proxy")
    assert "other-1" not in seen.by_pod


@pytest.mark.parametrize("how", ["410", "ended", "cut", "stalled"])
def test_a_watch_that_breaks_goes_on(how: str, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    api.watches_stall = how == "stalled"
    with source_over(api, tmp_path, monkeypatch, watch_silent_seconds=0.3 if how == "stalled" else 5) as seen:
        seen.for_(0.2)
        if how == "410":
            api.forget_versions()
            api.cut("watch")
            api.pods.pop(POD)  # nobody told: the new list does
        elif how == "cut":
            api.cut("watch")
        elif how == "ended":
            api.end("watch")
        api.watches_stall = False
        api.add("web-new")
        api.write("web-new", "hello")
        seen.until(lambda: seen.of("web-new") == ["hello"], 15)
        if how == "410":
            seen.until(lambda: seen.heard(f"{POD} is gone"))


def test_without_the_right_to_watch_pods_are_listed(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logproc.tail.watch.POLL_SECONDS", 0.1)
    api.add(POD)
    with api.refusing(Refusal(403, "pods is forbidden"), watch=True), source_over(api, tmp_path, monkeypatch) as seen:
        api.add("web-new")
        api.write("web-new", "hello")
        seen.until(lambda: seen.of("web-new") == ["hello"])

        seen.until(lambda: seen.heard("not allowed to watch"))


def test_an_error_text_that_comes_as_a_log_is_told_and_not_shown(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    api.log_body_instead = "failed to create fsnotify watcher: too many open files"
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, "line 0")
        seen.until(lambda: seen.of(POD) == ["line 0"])

    assert seen.heard("instead of the log came: failed to create fsnotify watcher")


def test_too_many_requests_are_made_again_when_the_server_says(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    api.write(POD, "line 0")
    api.refuse(Refusal(429, "slow down", retry_after="1"), path="/log")
    began = time.monotonic()
    with source_over(api, tmp_path, monkeypatch) as seen:
        seen.until(lambda: seen.of(POD) == ["line 0"])

    assert time.monotonic() - began >= 1
    assert not seen.told


def test_no_right_to_read_logs_is_told_and_ends_the_stream(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    api.refuse(Refusal(403, "cannot get resource pods/log"), 9, path="/log")
    with source_over(api, tmp_path, monkeypatch) as seen:
        seen.until(lambda: seen.source.status().files == 0)

    assert seen.heard("not allowed to read logs in shop")


def test_a_token_that_rotates_is_read_again(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("good")
    original = api.kubeconfig
    monkeypatch.setattr(api, "kubeconfig", lambda folder: original(folder, token_file=token))
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, "line 0")
        seen.until(lambda: len(seen.of(POD)) == 1)
        token.write_text("better")
        api.tokens = {"better"}
        api.cut()
        api.cut("watch")
        api.write(POD, "line 1")
        seen.until(lambda: len(seen.of(POD)) == 2)

    assert not seen.heard("expired")


def test_slow_bodies_and_long_lines_come_whole(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    api.drip = 0.001
    api.write(POD, "x" * 300, "ü" * 100)
    with source_over(api, tmp_path, monkeypatch) as seen:
        seen.until(lambda: len(seen.of(POD)) == 2)

    assert seen.of(POD) == ["x" * 300, "ü" * 100]


def test_lines_beyond_a_megabyte_are_cut_and_marked(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(POD)
    api.write(POD, "y" * (3 << 20), "after")
    with source_over(api, tmp_path, monkeypatch) as seen:
        seen.until(lambda: "after" in seen.of(POD))

    assert [len(t) for t in seen.of(POD)][1] == 5
    assert len(seen.of(POD)[0]) < 70_000


def test_without_following_it_ends(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        api.add(f"web-{i}")
        api.write(f"web-{i}", *numbered(0, 20))
    with source_over(api, tmp_path, monkeypatch, last_lines=3, follow=False) as seen:
        seen.until(seen.source.finished)

    assert {pod: len(lines) for pod, lines in seen.by_pod.items()} == {f"web-{i}": 3 for i in range(5)}


def test_the_previous_log(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    api.add("web-fresh")
    api.write(POD, *numbered(0, 5))
    api.restart(POD)
    api.write(POD, "now")
    with source_over(api, tmp_path, monkeypatch, previous=True) as seen:
        seen.until(seen.source.finished)

    assert seen.by_pod == {POD: numbered(0, 5)}
    assert seen.heard("web-fresh/istio-proxy: it has not restarted")


def test_more_containers_than_log_requests_wait_for_their_turn(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(6):
        api.add(f"web-{i}")
        api.write(f"web-{i}", "hello")
    with source_over(api, tmp_path, monkeypatch, max_requests=2) as seen:
        seen.until(lambda: len(seen.by_pod) == 2)
        seen.for_(0.2)
        assert len(seen.by_pod) == 2
        assert seen.heard("2 log streams are open, the limit")
        for pod in list(seen.by_pod):
            api.remove(pod)
        seen.until(lambda: len(seen.by_pod) == 4)


def test_a_container_that_is_done_is_left(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add(POD)
    with source_over(api, tmp_path, monkeypatch) as seen:
        api.write(POD, *numbered(0, 3))
        seen.until(lambda: len(seen.of(POD)) == 3)
        api.finish(POD)
        seen.for_(0.5)
        asked = len(api.log_requests())
        seen.for_(0.5)

        assert len(api.log_requests()) == asked
    assert seen.of(POD) == numbered(0, 3)


@pytest.mark.parametrize(
    ("containers", "sidecars", "choice", "expected"),
    [
        (("app", "istio-proxy"), (), Choice(), {"istio-proxy"}),
        (("app",), ("istio-proxy",), Choice(), {"istio-proxy"}),
        (("app",), (), Choice(), {"app"}),
        (("app", "helper"), (), Choice(), {"app"}),
        (("app", "helper"), ("istio-proxy",), Choice(everything=True), {"app", "helper", "istio-proxy"}),
    ],
)
def test_which_containers(
    containers: tuple[str, ...],
    sidecars: tuple[str, ...],
    choice: Choice,
    expected: set[str],
    api: FakeApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.add(POD, containers=containers, sidecars=sidecars)
    with source_over(api, tmp_path, monkeypatch, choice=choice) as seen:
        seen.until(lambda: len(api.log_requests()) == len(expected))

    assert {r["container"] for r in api.log_requests()} == expected
