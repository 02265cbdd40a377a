"""A kubelet's bad days: whatever is written, rotated, gzipped, restarted and deleted, each line is read once and in order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kubelet import Container, Reading

counts = st.integers(1, 30)
pod_actions = st.one_of(
    st.tuples(st.just("write"), counts),
    st.tuples(st.just("write_unfinished"), counts),
    st.tuples(st.just("write_long"), st.integers(1, 3)),
    *(st.tuples(st.just(a), st.just(0)) for a in ("rename", "reopen", "rename_back", "rotate", "gzip", "gzip_linger")),
    *(st.tuples(st.just(a), st.just(0)) for a in ("start_again", "prune", "delete_pod", "copytruncate")),
)
reader_actions = st.one_of(
    st.tuples(st.just("poll"), st.integers(1, 4)),
    st.tuples(st.just("turns"), st.integers(1, 3)),
    st.tuples(st.just("hold"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 4)),
)
actions = st.lists(
    st.one_of(st.tuples(st.integers(0, 1), pod_actions), st.tuples(st.just(-1), reader_actions)), max_size=40
)


def act(pod: Container, action: str, count: int) -> None:
    if action == "write":
        pod.write(count)
    elif action == "write_unfinished":
        pod.write(count, finish=False)
    elif action == "write_long":
        pod.write(count, text="x" * 200_000)
    elif action == "gzip":
        pod.gzip_oldest()
    elif action == "gzip_linger":
        pod.gzip_oldest(linger=True)
    else:
        getattr(pod, action)()


LOSING = {"prune", "delete_pod", "copytruncate"}
"""After these something is there only for who has seen it before."""


def read(reading: Reading, action: str, count: int) -> None:
    if action == "poll":
        reading.read(count)
    elif action == "turns":
        reading.clock.now += 0.3
        for _ in range(count):
            reading.chunks.extend(reading.source.read(1))
    elif action == "hold":
        reading.hold()
    else:
        reading.restart(lose=count)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions)
def test_each_line_is_read_once_and_in_order(steps: list[tuple[int, tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pods = [Container(Path(folder), uid=uid) for uid in ("a", "b")]
        for pod in pods:
            pod.write(1)
        reading = Reading(Path(folder))
        for who, (action, count) in steps:
            if who < 0:
                read(reading, action, count)
            elif action in LOSING:
                if action == "delete_pod" and (pods[who].unfinished or not pods[who].folder.exists()):
                    continue
                # A copied file was read before it is cut: its rest is in the copy. Deleted ones are held open.
                reading.read(4) if action == "copytruncate" else reading.hold()
                reading.gone = True
                act(pods[who], action, count)
                pods[who].moved = None if action == "delete_pod" else pods[who].moved
                reading.hold()
            else:
                act(pods[who], action, count)
        for pod in pods:
            pod.reopen()
            if pod.unfinished:
                pod.write()
        reading.read(30)

        for pod in pods:
            mine = [c for c in reading.chunks if c.stream.k8s_pod_uid == pod.uid]
            assert reading.lines(mine) == pod.lines, reading.told
        assert len(set(reading.identities())) == len(reading.identities())
        reading.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 20), st.sampled_from(["read", "truncate", "kill", "same"])), max_size=25))
def test_a_truncated_file_gives_no_identity_twice(steps: list[int | str]) -> None:
    """What was read before a truncation is read; what comes after it is another file, whatever it begins with."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "a.log"
        log.touch()
        reading, wanted, number = Reading(log), [], 0
        for step in steps:
            if step == "read":
                reading.read(2)
            elif step == "truncate":
                reading.read(2)
                log.write_bytes(b"")
                reading.read(1)
            elif step == "kill":
                reading.read(1)
                reading.restart()
            else:
                lines = ["header"] if step == "same" else []
                lines += [f"line {number + i}" for i in range(step if isinstance(step, int) else 0)]
                number += len(lines)
                wanted += lines
                with log.open("a") as file:
                    file.writelines(f"{line}\n" for line in lines)
        reading.read(3)

        found = [line.decode() for line in reading.lines()]
        identities = reading.identities()
        reading.close()
    assert found == wanted
    assert len(set(identities)) == len(identities)
