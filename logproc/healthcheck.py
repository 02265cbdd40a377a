"""`python -m logproc.healthcheck`: is the logproc in this container well? For container engines without HTTP probes of their own.

Asks `/healthz` of collector and loader, or `/ping` of `serve`; whichever listens answers. Imports next to nothing: it runs every 30 s.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence

PLACES: Sequence[tuple[int, str]] = ((9090, "/healthz"), (8123, "/ping"))
SECONDS = 4.0


def check(places: Sequence[tuple[int, str]] = PLACES) -> str:
    """Why it is not well; empty where one answers 200 and none anything else."""
    answers = []
    for port, path in places:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            said = answer.read(200).decode(errors="replace").strip()
        except OSError:
            continue
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            return f"{path}: {answer.status} {said}"
        answers.append(path)
    return "" if answers else f"nothing listens on port {' or '.join(str(p) for p, _ in places)}"


if __name__ == "__main__":
    sys.exit(check())
