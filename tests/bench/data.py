"""What is measured over: simulated traffic of a large mesh, made once and kept in `.cache/bench`."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sys
from pathlib import Path

from tests.bench import baseline
from tests.bench.measure import ROOT, run

FOLDER = ROOT / ".cache" / "bench"
LOGPROC = [sys.executable, "-m", "logproc"]


def _made(path: Path, make: list[str], stdout: bool) -> Path:
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"making {path.relative_to(ROOT)} ...", file=sys.stderr)
        if stdout:
            import subprocess

            with path.with_suffix(".tmp").open("wb") as out:
                subprocess.run(make, stdout=out, stderr=subprocess.DEVNULL, check=True, cwd=ROOT)
            path.with_suffix(".tmp").rename(path)
        else:
            run(make)
    return path


def lines(format: str = "T5", requests: int = 120_000) -> Path:
    """A file of access lines of one format, as printed by Envoy (component lines left out)."""
    path = FOLDER / f"{format}-{requests}.log"
    if not path.exists():
        raw = _made(
            FOLDER / f"{format}-{requests}.raw",
            [*LOGPROC, "simulate", "large", "--requests", str(requests), "--seed", "1", "--format", format],
            stdout=True,
        )
        start = b"{" if format == "json" else b"["
        with raw.open("rb") as source, path.open("wb") as out:
            out.writelines(line for line in source if line.startswith(start))
        raw.unlink()
    return path


CUSTOM = {
    "custom, 10 operators": '%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %BYTES_SENT% "%REQ(USER-AGENT)%" %UPSTREAM_HOST% %UPSTREAM_CLUSTER%',
    "custom, 15 operators": 'time=%START_TIME% method=%REQ(:METHOD)% path="%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%" protocol=%PROTOCOL% code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% in=%BYTES_RECEIVED% out=%BYTES_SENT% ms=%DURATION% upstream_ms=%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% id=%REQ(X-REQUEST-ID)% host="%REQ(:AUTHORITY)%" to=%UPSTREAM_HOST% cluster=%UPSTREAM_CLUSTER% route=%ROUTE_NAME%',
    "custom, 25 operators": '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME% %TRACE_ID% %CONNECTION_ID%',
}
"""Formats of one's own: words only, keys, and Istio's with two more."""


def custom(name: str, requests: int = 20_000) -> Path:
    """Lines of one of these formats."""
    path = FOLDER / f"{name.replace(', ', '-').replace(' ', '-')}-{requests}.log"
    if not path.exists():
        make = [*LOGPROC, "simulate", "large", "--requests", str(requests), "--seed", "1", "--format", CUSTOM[name]]
        raw = _made(path.with_suffix(".raw"), make, stdout=True)
        access = baseline.lazy(CUSTOM[name])
        with raw.open("rb") as source, path.open("wb") as out:
            out.writelines(line for line in source if access.match(line.rstrip(b"\n")))
        raw.unlink()
    return path


def shuffled(plain: Path, lines: int = 60_000) -> Path:
    """JSON lines, the keys of each in an order of its own, as Istio prints them where it does not sort."""
    path = plain.with_suffix(".shuffled")
    if not path.exists():
        order = random.Random(1)
        with plain.open("rb") as source, path.open("w") as out:
            for line in itertools.islice(source, lines):
                items = list(json.loads(line).items())
                order.shuffle(items)
                out.write(json.dumps(dict(items), separators=(",", ":")) + "\n")
    return path


def nested(plain: Path, lines: int = 60_000) -> Path:
    """JSON lines whose keys stand in objects of their own."""
    path = plain.with_suffix(".nested")
    if not path.exists():
        with plain.open("rb") as source, path.open("w") as out:
            for line in itertools.islice(source, lines):
                row = json.loads(line)
                groups: dict[str, dict[str, object]] = {"http": {}, "upstream": {}, "downstream": {}}
                for key, value in row.items():
                    group = key.partition("_")[0]
                    groups[group if group in groups else "http"][key] = value
                out.write(json.dumps(groups, separators=(",", ":")) + "\n")
    return path


def cri(plain: Path) -> Path:
    """The same lines in CRI frames."""
    path = plain.with_suffix(".cri")
    if not path.exists():
        with plain.open("rb") as source, path.open("wb") as out:
            for number, line in enumerate(source):
                out.write(
                    b"2026-11-20T10:%02d:%02d.%09dZ stdout F "
                    % (number // 60000 % 60, number // 1000 % 60, number * 997 % 10**9)
                    + line
                )
    return path


def hostile(plain: Path, share: float) -> Path:
    """The same lines, `share` of them with quotes and brackets forged into the user agent, spread evenly."""
    path = plain.with_suffix(f".hostile{share:g}")
    if not path.exists():
        every = round(1 / share)
        with plain.open("rb") as source, path.open("wb") as out:
            for number, line in enumerate(source):
                if number % every == 0:
                    pieces = line.split(b'"')
                    pieces[7] += b'" "x" [2026-01-01T00:00:00.000Z] "GET /forged HTTP/1.1" 200 - "y'
                    line = b'"'.join(pieces)
                out.write(line)
    return path


def repeated(plain: Path, size: int) -> Path:
    """The same lines again and again up to `size` bytes, for measures of memory."""
    path = plain.with_suffix(f".{size >> 20}MiB")
    if not path.exists():
        with path.open("wb") as out:
            while out.tell() < size:
                with plain.open("rb") as source:
                    shutil.copyfileobj(source, out)
    return path


def pods(requests: int = 250_000) -> Path:
    """Kubelet log folders of a large mesh."""
    return _made(
        FOLDER / f"pods-{requests}",
        [
            *LOGPROC,
            "simulate",
            "large",
            "--requests",
            str(requests),
            "--seed",
            "1",
            "--out",
            str(FOLDER / f"pods-{requests}"),
        ],
        stdout=False,
    )
