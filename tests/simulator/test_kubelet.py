import re
from pathlib import Path

import pytest

from logproc.errors import ConfigError, SinkError
from logproc.simulator import SimulateOptions, simulate
from tests.simulator import pod_logs
from tests.simulator.conftest import START, Simulate

ROTATED = {"topology": "mushop", "requests": 500, "rotate_at": 20_000, "restarts": 3}


def test_every_row_of_the_truth_is_where_it_says(simulated: Simulate) -> None:
    run = simulated(**ROTATED)
    found = {(row.log.id, row.line): row for row in pod_logs.all_rows(run.root)}

    assert len(found) == len(run.truth) == run.summary.rows
    for row in run.truth:
        place = found[row["file_id"], row["line"]]
        assert (place.log.stream.k8s_namespace, place.log.stream.k8s_pod, place.log.stream.k8s_container) == (
            row["k8s_namespace"],
            row["k8s_pod"],
            row["k8s_container"],
        )
        if row["table"] == "message_log":
            assert row["message"].split("\t")[0] in place.text
        else:
            assert place.text.startswith(f"[{row['timestamp'][:23]}Z] ")


def test_truth_is_in_the_order_of_each_file(simulated: Simulate) -> None:
    last: dict[int, int] = {}
    for row in simulated(**ROTATED).truth:
        assert row["line"] > last.get(row["file_id"], -1)
        last[row["file_id"]] = row["line"]


def test_summary_counts_what_is_on_disk(simulated: Simulate) -> None:
    run = simulated(**ROTATED)
    logs = [log for logs in pod_logs.files(run.root).values() for log in logs]

    assert run.summary.files == len(logs)
    assert run.summary.lines == sum(len(log.lines) for log in logs)
    assert run.summary.bytes == sum(len(log.data) for log in logs)


def test_files_rotate_by_size_and_only_the_newest_rotated_is_plain(simulated: Simulate) -> None:
    rotated = [logs for logs in pod_logs.files(simulated(**ROTATED).root).values() if len(logs) > 3]

    assert rotated
    for logs in rotated:
        for log in logs[:-1]:
            assert re.fullmatch(r"[0-9]+\.log(\.20261121-[0-9]{6}(\.gz)?)?", log.path.name)
        newest = logs[-1].path.name.split(".")[0]
        plain = [log for log in logs if log.path.name.count(".") == 2 and log.path.name.startswith(newest)]
        assert len(plain) <= 1
        for log in logs:
            if log.path.name.count(".") > 1:
                *before, _ = log.data.splitlines(keepends=True)
                assert len(b"".join(before)) < 20_000 <= len(log.data)


def test_times_ascend_across_the_files_of_a_container(simulated: Simulate) -> None:
    for logs in pod_logs.files(simulated(**ROTATED).root).values():
        for stream in ("stdout", "stderr"):
            # Padded: a runtime leaves out the zeros at the end.
            times = [f"{line.time[:-1]:0<29}" for log in logs for line in log.lines if line.stream == stream]
            assert times == sorted(times)


def test_long_lines_are_split_into_fragments_of_16_kib(simulated: Simulate) -> None:
    logs = pod_logs.files(simulated(topology="helloworld", requests=4000, truth=False).root)
    lines = [line for files in logs.values() for log in files for line in log.lines]

    partial = [line for line in lines if line.tag == "P"]
    assert partial
    assert {len(line.text) for line in partial} == {16384}
    assert max(len(line.text) for line in lines) == 16384
    assert any(len(row.text) > 17_000 for files in logs.values() for row in pod_logs.rows(files))


def test_standard_error_slips_between_fragments() -> None:
    from logproc.simulator.kubelet import Lines, _framed

    long = "é" * 20_000
    framed = _framed(Lines(["T1", "T2", "T3"], [long, "oops", "next"], [False, True, False], None))

    assert [line[:12] for line, _ in framed] == [
        b"T1 stdout P " ,
        b"T1 stdout P " ,
        b"T2 stderr F " ,
        b"T1 stdout F " ,
        b"T3 stdout F " ,
    ]  # fmt: skip
    assert b"".join(line[12:-1] for line, _ in framed if line.startswith(b"T1")).decode() == long


def test_restarts_begin_files_of_their_own(simulated: Simulate) -> None:
    logs = pod_logs.files(simulated(**ROTATED).root)
    restarted = [files for files in logs.values() if any(log.stream.restart for log in files)]

    assert 1 <= len(restarted) <= 3
    for files in restarted:
        first = next(log for log in files if log.stream.restart == 1)
        assert b"FLAG: --domain" in first.data.split(b"\n", 1)[0]


def test_keep_deletes_the_oldest(tmp_path: Path) -> None:
    simulate(
        SimulateOptions(
            topology="helloworld", out=tmp_path, requests=400, rotate_at=8_000, keep=3, restarts=0, start=START
        )
    )

    assert max(len(logs) for logs in pod_logs.files(tmp_path).values()) == 3


def test_a_folder_with_logs_of_the_same_run_is_refused(tmp_path: Path) -> None:
    options = SimulateOptions(topology="helloworld", out=tmp_path, requests=5)
    simulate(options)

    with pytest.raises(ConfigError, match="is there already"):
        simulate(options)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match="file/pods: Not a directory"):
        simulate(SimulateOptions(out=tmp_path / "file" / "pods", requests=1))
