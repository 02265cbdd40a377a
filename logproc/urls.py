"""SOURCE, TOPIC, SINK and STORE as they are typed: URLs and paths."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from logproc.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Url:
    """One URL in parts. Printed without its password and never holding one: see `password`."""

    scheme: str
    host: str = ""
    port: int | None = None
    user: str = ""
    path: str = ""
    options: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()
    """Further hosts, `host:port`, where several stand in a row: `kafka://a:9092,b:9092/topic`."""

    @classmethod
    def parse(cls, text: str, *, default_scheme: str = "") -> Url:
        """Read `scheme://[user@]host[:port]/path[?option=value]`; a text without scheme is a path of `default_scheme`.

        Raises ConfigError for a password in the text (it would show in process lists and logs) and for a port that is none.
        """
        if (
            "://" not in text
            and default_scheme
            and not text.startswith((f"{default_scheme}:", "stdout:", "null:", "parquet:"))
        ):
            return cls(default_scheme, path=str(Path(text).absolute()))
        parts = urlsplit(text)
        first, *others = parts.netloc.split(",")
        parts = parts._replace(netloc=first)
        if not parts.scheme:
            raise ConfigError(
                f"{text!r} is no URL",
                "write scheme://host:port/name, for example clickhouse://default@localhost:8123/logproc",
            )
        if parts.password is not None:
            raise ConfigError(
                f"{parts.scheme}://{parts.hostname}: a password in a URL shows in process lists and logs",
                "put it into LOGPROC_PASSWORD, or into a file named by LOGPROC_PASSWORD_FILE",
            )
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{text!r}: the port is no number from 0 to 65535") from error
        return cls(
            parts.scheme,
            _as_typed(parts.hostname or "", parts.netloc),
            port,
            unquote(parts.username or ""),
            unquote(parts.path),
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            tuple(others),
        )

    def option(self, name: str, default: str = "") -> str:
        """The value of one option."""
        return dict(self.options).get(name, default)

    def refuse_unknown_options(self, known: Iterable[str]) -> None:
        """Raise ConfigError for the first option that is not known, naming the nearest that is."""
        names = sorted(known)
        for name, _ in self.options:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
                raise ConfigError(f"{self.scheme}: has no option {name!r}", hint)

    def __str__(self) -> str:
        place = f"{self.user}@{self.host}" if self.user else self.host
        if self.port is not None:
            place += f":{self.port}"
        place = ",".join([place, *self.others])
        query = "?" + "&".join(f"{k}={v}" for k, v in self.options) if self.options else ""
        return f"{self.scheme}://{place}{self.path}{query}" if place or self.path else f"{self.scheme}:{query}"


def _as_typed(host: str, place: str) -> str:
    """The host with its capitals, which urlsplit takes away: it may be meant as a folder."""
    begin = place.lower().rfind(host)
    return place[begin : begin + len(host)] if begin >= 0 else host


def user(url: Url) -> str:
    """The user for the sink or store: the URL's, else LOGPROC_USER, else the content of the file that LOGPROC_USER_FILE names."""
    return url.user or secret("LOGPROC_USER")


def password() -> str:
    """The password for the sink or store: LOGPROC_PASSWORD, else the content of the file that LOGPROC_PASSWORD_FILE names."""
    return secret("LOGPROC_PASSWORD")


def secret(variable: str) -> str:
    """The variable, else the content of the file that the variable with _FILE names, else nothing.

    Raises ConfigError for a file that cannot be read, with the command that creates its Secret.
    """
    if variable in os.environ:
        return os.environ[variable]
    name = os.environ.get(f"{variable}_FILE")
    if not name:
        return ""
    try:
        return Path(name).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{variable}_FILE {name}: {reason}", secret_hint(name)) from error


def secret_hint(path: str) -> str:
    """How the file of a Secret comes to be: in the containers of `logproc install` its folder names the Secret."""
    folder, key = Path(path).parent.name, Path(path).name
    if folder in {"clickhouse", "kafka"}:
        given = f"--from-literal={key}=..." if key == "password" else f"--from-file={key}"
        return f"it is the key {key} of a Secret: kubectl -n NAMESPACE create secret generic logproc-{folder} {given}"
    return "make the file, with nothing but the secret in it"
