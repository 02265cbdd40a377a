"""Who may ask: names, passwords as scrypt hashes, and the limits of each."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from logproc.errors import ConfigError, QueryError
from logproc.serve.guard import Permissions
from logproc.sizes import parse_size

WRONG_PASSWORD, PASSWORD_REQUIRED = 516, 194
DEFAULT = "default"

_COST = {"n": 1 << 14, "r": 8, "p": 1}
"""16 MiB and some 40 ms a guess; right answers are remembered, so that a client pays once."""
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one statement: seconds, bytes of memory, rows of a result; 0 is none."""

    seconds: int = 300
    memory: int = 2 << 30
    rows: int = 0

    def settings(self) -> dict[str, str]:
        """As settings of the engine."""
        return {
            "max_execution_time": str(self.seconds),
            "max_memory_usage": str(self.memory),
            "max_result_rows": str(self.rows),
        }


@dataclass(frozen=True, slots=True)
class User:
    """One user. `password` is a hash as `hash_password` makes it, "" for none."""

    name: str
    password: str = ""
    may: Permissions = field(default_factory=Permissions)
    limits: Limits = field(default_factory=Limits)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    password: str = ""
    readonly: bool = False
    databases: list[str] = Field(default_factory=list)
    max_execution_time: int | None = Field(None, ge=0)
    max_memory_usage: str | int | None = None
    max_result_rows: int | None = Field(None, ge=0)

    @field_validator("password")
    @classmethod
    def _is_hash(cls, value: str) -> str:
        if value:
            n, r, p, salt, _ = _parts(value)
            try:
                _scrypt("", salt, n, r, p)
            except (ValueError, TypeError, OverflowError) as error:
                raise ValueError(f"the password is no hash that can be checked: {error}") from error
        return value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: dict[str, _Entry]


def read_users(path: Path, limits: Limits, *, database: str, readonly: bool = False) -> dict[str, User]:
    """The users of a TOML file, `[users.NAME]` each; one that may only read reads `database` unless others are named. Raises ConfigError naming the place of what is wrong."""
    try:
        content = _File.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"users file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"users file {path}: {error}", "it has to be TOML") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        raise ConfigError(
            f"users file {path}: {place}: {first['msg'].removeprefix('Value error, ')}",
            "each user is a table [users.NAME] with password, readonly, databases, max_execution_time, max_memory_usage, max_result_rows",
        ) from error
    if not content.users:
        raise ConfigError(f"users file {path}: there is no user in it")
    return {name: _user(name, entry, limits, database, readonly=readonly) for name, entry in content.users.items()}


def _user(name: str, entry: _Entry, limits: Limits, database: str, *, readonly: bool) -> User:
    memory = entry.max_memory_usage
    own = Limits(
        limits.seconds if entry.max_execution_time is None else entry.max_execution_time,
        limits.memory if memory is None else parse_size(f"users.{name}.max_memory_usage", str(memory)),
        limits.rows if entry.max_result_rows is None else entry.max_result_rows,
    )
    reads = readonly or entry.readonly
    may = Permissions(reads, frozenset(entry.databases or [database]) if reads else frozenset())
    return User(name, entry.password, may, own)


def hash_password(password: str) -> str:
    """`scrypt$n$r$p$salt$hash`, for a users file."""
    salt = os.urandom(16)
    made = _scrypt(password, salt, _COST["n"], _COST["r"], _COST["p"])
    return "$".join(["scrypt", *map(str, _COST.values()), *(base64.b64encode(b).decode() for b in (salt, made))])


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 << 20, dklen=32)


def _parts(text: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        name, n, r, p, salt, made = text.split("$")
        if name == "scrypt":
            return int(n), int(r), int(p), base64.b64decode(salt, validate=True), base64.b64decode(made, validate=True)
    except ValueError:
        pass
    raise ValueError("the password is no hash; `logproc serve hash-password` makes one")


class Users:
    """Tells who asks. Takes as long for a name that does not exist as for a wrong password."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        # One at a time, and on a thread of its own: guessing may take neither all cores nor the threads that statements need.
        self._guessing = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._nobody = hash_password(secrets.token_hex(8))

    @property
    def open(self) -> bool:
        """Somebody may come in without a password."""
        return any(not u.password for u in self._users.values())

    def known(self, name: str, password: str) -> User | None:
        """The user, where it is known at once: no password is needed, or this one was right before."""
        user = self._users.get(name)
        if user is None:
            return None
        if not user.password:
            return user if not password else None
        with self._lock:
            return user if self._mark(name, password) in self._right else None

    async def find(self, name: str, password: str) -> User:
        """The user of this name and password; slow on purpose. Raises QueryError."""
        return await asyncio.get_running_loop().run_in_executor(self._guessing, self._find, name, password)

    def _find(self, name: str, password: str) -> User:
        if user := self.known(name, password):
            return user
        named = self._users.get(name)
        n, r, p, salt, made = _parts((named.password if named else "") or self._nobody)
        right = hmac.compare_digest(_scrypt(password, salt, n, r, p), made)
        if named is None or not named.password or not right:
            raise QueryError(
                f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
                # The same for a name that does not exist: the code would tell which names do.
                code=WRONG_PASSWORD if password else PASSWORD_REQUIRED,
            )
        with self._lock:
            self._right[self._mark(name, password)] = None
            while len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)
        return named

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{len(name)}:{name}:{password}".encode(), "sha256")
