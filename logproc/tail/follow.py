"""One container's log over the API, opened again for as long as the container lives: a thread that hands on bytes as they come."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from logproc.tail.cluster import ApiError, Cluster, Unreachable
from logproc.tail.overlap import SECOND, Overlap
from logproc.tail.pods import ContainerState

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

SILENT_SECONDS = 60.0
"""A follow that says nothing for so long may be dead (a half-open connection, a lost rotation): it is opened again."""
SOONEST_SECONDS = 0.2
LATEST_SECONDS = 10.0
READ_BYTES = 1 << 16
WAITING_BYTES = 16 << 20
"""What all streams together may have read ahead of the display; then they wait, and the API server with them."""
ATTEMPTS_WITHOUT_FOLLOWING = 5
ATTEMPTS_FOR_PREVIOUS = 5


class Mark(Enum):
    """What happened to a stream beside bytes."""

    OPENED = "opened"
    CONTINUED = "continued"
    ENDED = "ended"
    FINISHED = "finished"
    RESTARTED = "restarted"


Entry = tuple["Follow", "Mark | bytes", int]


class Mailbox:
    """Bytes and marks of all streams on their way to the one thread that reads them; bounded."""

    def __init__(self, most: int = WAITING_BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._most, self._size = most, 0
        self._ready = threading.Condition()
        self._closed = False
        self._first_at = 0.0
        self.taken_since = 0.0
        """Unix seconds at which the first of the entries that were taken last had come."""

    def put(self, entry: Entry) -> None:
        """Hand on; waits while too much is there."""
        with self._ready:
            while self._size > self._most and not self._closed:
                self._ready.wait(1)
            if not self._entries:
                self._first_at = time.time()
            self._entries.append(entry)
            self._size += len(entry[1]) if isinstance(entry[1], bytes) else 0
            if len(self._entries) == 1:
                self._ready.notify_all()

    def take(self, seconds: float) -> list[Entry]:
        """Everything that is there; waits so long for a first entry."""
        with self._ready:
            if not self._entries:
                self._ready.wait(seconds)
            taken = list(self._entries)
            self.taken_since = self._first_at
            self._entries.clear()
            self._size = 0
            self._ready.notify_all()
            return taken

    def close(self) -> None:
        """Nobody takes any more."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    @property
    def waits(self) -> int:
        """Bytes that are there."""
        return self._size


@dataclass(frozen=True, slots=True)
class Begin:
    """Where reading of a log begins; without anything at its first line."""

    last_lines: int | None = None
    since: datetime | None = None
    previous: bool = False


@dataclass(slots=True)
class Slots:
    """How many responses may be open at a time."""

    most: int
    full: Callable[[], None]
    _free: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = threading.Semaphore(self.most)

    def enter(self) -> None:
        """Wait for a free one."""
        if not self._free.acquire(blocking=False):
            self.full()
            self._free.acquire()

    def leave(self) -> None:
        """Give it back."""
        self._free.release()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a response went. `ended`: to its proper end, not cut and not given up as silent."""

    answered: bool = False
    ended: bool = False
    refused: ApiError | None = None


class Follow(threading.Thread):
    """Reads one container. `overlap` belongs to the thread that takes from the mailbox; `settled` says that it has done so."""

    def __init__(
        self,
        cluster: Cluster,
        overlap: Overlap,
        begin: Begin,
        state: ContainerState,
        *,
        mailbox: Mailbox,
        slots: Slots,
        tell: Callable[[str], None],
        following: bool = True,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        super().__init__(daemon=True, name=f"{overlap.stream.k8s_pod}/{overlap.stream.k8s_container}")
        self.overlap, self.settled = overlap, threading.Event()
        self.opened = 0
        self._cluster, self._begin, self._mailbox, self._slots, self._tell = cluster, begin, mailbox, slots, tell
        self._following, self._silent = following and not begin.previous, silent_seconds
        self._state, self._gone, self._stopped = state, False, False
        self._restart = state.restart
        self._changed = threading.Condition()
        self._response: BaseHTTPResponse | None = None
        self._asked_at = 0.0
        self._same_log = False
        """The next response continues the log that an earlier one began."""

    # Told by the watch

    def state_is(self, state: ContainerState) -> None:
        """What the watch says of the container."""
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def pod_is_gone(self) -> None:
        """The pod was deleted: what is left is read, then it ends."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End as soon as possible."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        _shut(self._response)

    def cut_if_gone(self) -> None:
        """The pod has been gone for a while and the response is still open."""
        if self._gone:
            _shut(self._response)

    # The thread

    def run(self) -> None:
        """Read until the container cannot write any more."""
        try:
            self._run()
        except Exception as error:
            self._tell(f"{self.name}: {type(error).__name__}: {error}; not read any more")
        finally:
            self._mailbox.put((self, Mark.FINISHED, 0))

    def _run(self) -> None:
        failures = quiet = 0
        checked_end = False
        """The container is over and its last response ended in order: one more look without following proves it."""
        while self._begin.previous or self._wait_for_log():
            self._note_restart()
            state, last = self._state, self.overlap.last
            outcome = self._attempt(check=checked_end, failures=failures)
            failures = 0 if outcome.answered else failures + 1
            if outcome.refused is not None:
                if not self._goes_on(outcome.refused, failures):
                    return
                self._pause(outcome.refused.retry_after or _backoff(failures))
                continue
            new = self.overlap.last != last
            if new:  # a connection that was cut after it had worked is no reason to wait long
                failures = min(failures, 1)
            quiet = 0 if new else quiet + 1
            if self._stopped or self._is_done(outcome, failures, new=new):
                return
            over = self._following and self._state.terminated and self._state.restart == state.restart and outcome.ended
            if over and checked_end and not new:
                if not self._wait_for_change(state):
                    return
                over = False
            checked_end = over
            self._pause(_backoff(failures or (quiet if outcome.ended else 0)))

    def _note_restart(self) -> None:
        """Where the container has restarted since, the rest of its last log is read first."""
        restart = self._state.restart
        if restart == self._restart:
            return
        failures = 0
        while self.overlap.last and not self._read_rest_of_previous() and failures < ATTEMPTS_FOR_PREVIOUS:
            failures += 1
            self._pause(_backoff(failures))
        self._restart, self._same_log = restart, False
        self._mailbox.put((self, Mark.RESTARTED, restart))

    def _is_done(self, outcome: _Outcome, failures: int, *, new: bool) -> bool:
        if not self._following:
            return outcome.ended or failures >= ATTEMPTS_WITHOUT_FOLLOWING
        return self._gone and (outcome.ended or not new)

    def _attempt(self, *, check: bool, failures: int) -> _Outcome:
        """One response, to its end; what came is looked at before this returns."""
        try:
            return _Outcome(answered=True, ended=self._read(check=check))
        except ApiError as error:
            return _Outcome(refused=error)
        except Unreachable as error:
            if failures > 2:
                self._tell(f"{self.name}: cannot be read now ({error}); trying again")
            return _Outcome()
        finally:
            self._settle()

    def _wait_for_log(self) -> bool:
        """Wait until there is something to read; false where there never will be."""
        with self._changed:
            while not (self._state.has_log or self._stopped or self._gone):
                if not self._following:
                    return False
                self._changed.wait(1)
        return self._state.has_log and not self._stopped

    def _wait_for_change(self, state: ContainerState) -> bool:
        with self._changed:
            while self._state == state and not self._stopped and not self._gone:
                self._changed.wait(1)
        return not (self._stopped or self._gone)

    def _read(self, *, check: bool) -> bool:
        """Read one response to its end. True: it ended as it should; false: it was silent for too long, or cut."""
        import urllib3

        self._slots.enter()
        try:
            silent = self._silent * random.uniform(0.8, 1.2)  # noqa: S311  so that streams do not reopen at once
            self._asked_at = self._asked_at or time.time() + self._cluster.ahead
            with self._cluster.open(
                self._path(), self._parameters(follow=self._following and not check), read_seconds=silent
            ) as response:
                self._response = response
                self.opened += 1
                self._mailbox.put((self, Mark.CONTINUED if self._same_log else Mark.OPENED, 0))
                self._same_log = True
                for data in _pieces(response):
                    self._mailbox.put((self, data, 0))
                    if self._stopped:
                        return False
        except urllib3.exceptions.ReadTimeoutError:
            self.opened += 1
            return False
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if self._stopped or self._gone:
                return False
            raise Unreachable(str(error) or type(error).__name__) from error
        else:
            return True
        finally:
            self._response = None
            self._slots.leave()

    def _settle(self) -> None:
        """Wait until what was handed on has been looked at: where the next response begins depends on it."""
        self.settled.clear()
        self._mailbox.put((self, Mark.ENDED, 0))
        while not self.settled.wait(1):
            if self._stopped:
                return

    def _read_rest_of_previous(self) -> bool:
        """Lines that the container wrote last, before it restarted, and that a cut connection kept back. False: not now."""
        import urllib3

        parameters = {**self._parameters(follow=False), "previous": "true"}
        try:
            with self._cluster.open(self._path(), parameters, read_seconds=self._silent) as response:
                self._mailbox.put((self, Mark.OPENED, 0))
                for data in _pieces(response):
                    self._mailbox.put((self, data, 0))
        except ApiError as error:
            return error.status < 429  # the runtime has removed it, most likely: nobody can have it
        except (Unreachable, urllib3.exceptions.HTTPError, OSError):
            return False
        else:
            return True
        finally:
            self._settle()

    def _path(self) -> str:
        stream = self.overlap.stream
        return f"/api/v1/namespaces/{stream.k8s_namespace}/pods/{stream.k8s_pod}/log"

    def _parameters(self, *, follow: bool) -> dict[str, str]:
        found = {"container": self.overlap.stream.k8s_container, "timestamps": "true"}
        if follow:
            found["follow"] = "true"
        if self._begin.previous:
            found["previous"] = "true"
        if self.overlap.last:
            found["sinceTime"] = _rfc3339(self.overlap.last / SECOND)
            return found
        if self._begin.since is not None:
            found["sinceTime"] = _rfc3339(self._begin.since.timestamp())
        if self._begin.last_lines is not None:
            if not self.opened:
                found["tailLines"] = str(self._begin.last_lines)
            elif self._begin.last_lines == 0:
                # Nothing has come since it was asked for the first time.
                found["sinceTime"] = _rfc3339(self._asked_at)
        return found

    def _goes_on(self, error: ApiError, failures: int) -> bool:
        """Whether it can come right, saying what is wrong."""
        attempts_left = self._following or failures < ATTEMPTS_WITHOUT_FOLLOWING
        name, status = self.name, error.status
        if status == 404:
            going = not self._gone and failures < 3 and self._following
            if not going and not self._gone:
                self._tell(f"{name}: {error.message}")
            return going
        if status == 403:
            # An API server that has just started refuses for a moment what it allows.
            if failures > 2:
                self._tell(f"not allowed to read logs in {self.overlap.stream.k8s_namespace}: {error.message}")
            return failures <= 2 or (self._following and bool(self.overlap.last))
        if status == 400 and not self._following:
            self._tell(f"{name}: {error.message}")
            return False
        # Another 400 says "waiting to start": the watch was ahead of the kubelet. 429 is waited for in silence.
        if status == 401:
            self._tell("the login has expired: log in again, and reading goes on")
        elif status not in (400, 429) and failures > 2:
            self._tell(f"{name}: cannot be read now ({status} {error.message}); trying again")
        return attempts_left

    def _pause(self, seconds: float) -> None:
        with self._changed:
            if not self._stopped:
                self._changed.wait(min(seconds, 60.0))


def _pieces(response: Any) -> Iterator[bytes]:
    """What comes, as it comes."""
    if getattr(response, "chunked", False):
        yield from response.stream(READ_BYTES)
        return
    while data := response.read1(READ_BYTES):
        yield data


def _backoff(failures: int) -> float:
    return min(LATEST_SECONDS, SOONEST_SECONDS * 2.0 ** min(failures, 8)) * random.uniform(0.7, 1.3)  # noqa: S311


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shut(response: BaseHTTPResponse | None) -> None:
    """Wake a thread that waits for bytes: closing alone does not end its `recv`."""
    import contextlib
    import socket

    connection = getattr(response, "_connection", None)
    sock = getattr(connection, "sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
