"""Files, gzip and pipes as chunks of whole lines."""

from __future__ import annotations

import gzip
import os
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc import reading
from logproc.errors import ConfigError, SourceError
from logproc.model import Chunk
from logproc.reading import KEPT_OF_OVERSIZED, Input, check


def chunks(path: Path | str) -> list[Chunk]:
    with closing(Input(str(path))) as source:
        return list(source.chunks())


def assert_whole(found: list[Chunk], content: bytes) -> None:
    """The chunks' spans adjoin from 0 to the end, and their lines are the content's."""
    offset = line = 0
    lines = []
    for chunk in found:
        assert (chunk.span.start, chunk.span.first_line) == (offset, line)
        assert chunk.data.count(b"\n") == chunk.span.lines
        assert not chunk.data or chunk.data.endswith(b"\n")
        texts = chunk.data.split(b"\n")[:-1]
        assert all(len(text) <= reading.MAX_LINE for text in texts)
        for i, length in chunk.oversized:
            assert (length, len(texts[i])) > (reading.MAX_LINE, KEPT_OF_OVERSIZED - 1)
            texts[i] = texts[i].ljust(length, b"x")
        lines += texts
        offset, line = chunk.span.end, line + chunk.span.lines
    assert offset == len(content)
    assert lines == content.removesuffix(b"\n").split(b"\n") if content else lines == []
    assert [c.last for c in found] == [False] * (len(found) - 1) + [True]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 60), max_size=12), st.booleans(), st.integers(1, 400), st.booleans())
def test_however_the_bytes_are_cut_the_lines_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int], ended: bool, block: int, packed: bool
) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", block)
    monkeypatch.setattr(reading, "MAX_LINE", 24)
    monkeypatch.setattr(reading, "KEPT_OF_OVERSIZED", 8)
    monkeypatch.setitem(globals(), "KEPT_OF_OVERSIZED", 8)
    content = b"\n".join(b"x" * n for n in lengths) + (b"\n" if ended else b"")
    file = tmp_path / "f"
    file.write_bytes(gzip.compress(content) if packed else content)

    assert_whole(chunks(file), content)


def test_gzip_members_and_padding(tmp_path: Path) -> None:
    file = tmp_path / "f.gz"
    file.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 600)

    assert b"".join(c.data for c in chunks(file)) == b"a\nbc\n"


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:400] + b"\xff" * 8 + b[408:], lambda b: b + b"junk"])
def test_damaged_gzip_gives_what_could_be_read(tmp_path: Path, damage: object) -> None:
    file = tmp_path / "f.gz"
    content = b"".join(b"%d\n" % (i * 7919) for i in range(1000))
    file.write_bytes(damage(gzip.compress(content)))  # type: ignore[operator]

    with closing(Input(str(file))) as source:
        data = b"".join(c.data for c in source.chunks())

    assert "damaged gzip" in source.damage
    assert content.startswith(data[:-20])


def test_an_empty_file_is_one_last_chunk_without_lines(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()

    (only,) = chunks(file)

    assert (only.data, only.span.lines, only.last) == (b"", 0, True)


def test_an_oversized_line_is_not_held(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"a\n" + b"y" * 9_000_000 + b"\nb\n")

    found = [c for c in chunks(file) if c.span.lines]

    assert [(c.oversized, c.span.lines) for c in found] == [((), 1), (((0, 9_000_000),), 2)]
    assert max(len(c.data) for c in found) < 70_000


def test_a_quiet_pipe_hands_on_what_has_come(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    seen = threading.Event()

    def write() -> None:
        with fifo.open("wb", buffering=0) as out:
            out.write(b"first\n")
            assert seen.wait(20)
            out.write(b"second\n")

    writer = threading.Thread(target=write)
    writer.start()
    texts = []
    with closing(Input(str(fifo))) as source:
        for chunk in source.chunks():
            texts.append(chunk.data)
            seen.set()
    writer.join()

    assert texts == [b"first\n", b"second\n", b""]


def test_a_fast_pipe_gives_large_chunks(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    content = b"x" * 99 + b"\n"

    def write() -> None:
        with fifo.open("wb") as out:
            out.write(content * 100_000)
            time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    found = chunks(fifo)
    writer.join()

    assert_whole(found, content * 100_000)
    assert len(found) < 60


def test_what_cannot_be_read_is_said_before_anything_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.touch()

    check([str(file), "-"])
    with pytest.raises(ConfigError, match="No such file"):
        check([str(file), str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="is a folder"):
        check([str(tmp_path)])
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="permission denied"):
        check([str(file)])
