"""Pages that are generated: `make docs` writes them, a test compares. Outputs in the walk-throughs are refreshed with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from logproc import main
from logproc.settings_values import expected, options, variable

DOCS = Path(__file__).parent.parent / "docs"
WRITTEN = "<!-- Written by `make docs`. -->\n"
SETTABLE = ("collect", "load", "up", "serve", "tail", "query", "report", "audit", "parse")


def commands() -> Iterator[tuple[str, Any]]:
    """All commands by what is typed, groups before their sub-commands."""
    for name in main.command_names():
        command = main.load(name)
        yield name, command
        for sub, inner in getattr(command, "commands", {}).items():
            yield f"{name} {sub}", inner


def help_of(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=f"logproc {name}", terminal_width=110, max_content_width=110)
    context.auto_envvar_prefix = None
    lines: list[str] = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def cli_page() -> str:
    parts = [
        "# Commands\n\nEvery command with its options, as `--help` prints them. Each option is also an environment variable and a key of the"
        " settings file: [settings.md](settings.md). Exit codes: 0 done, 1 done with a finding, 2 wrong usage or configuration, 3 gave up.\n"
    ]
    parts += [f"## logproc {name}\n\n```text\n{help_of(name, command)}\n```\n" for name, command in commands()]
    return WRITTEN + "\n".join(parts)


def settings_page() -> str:
    parts = [
        "# Settings\n\nWhat is typed holds before environment variables, these before the settings file, that before defaults. The file is TOML:"
        " the first of `--config FILE`, `LOGPROC_CONFIG`, `~/.config/logproc/config.toml`, `/etc/logproc/config.toml`. A command's options are"
        " keys of its table; `store` may stand at the top for all commands that read one. An unknown key is refused with the nearest known one,"
        " a wrong value with its line.\n\n"
        '```toml\nstore = "clickhouse://logproc_reader@clickhouse:8123/logproc"\n\n[collect]\nto = "kafka://kafka:9092/logproc"\n'
        'state = "/var/lib/logproc"\nfollow = true\nexclude = ["user_agent = kube-probe*"]\n```\n\n'
        "```console\n$ logproc settings check\n$ logproc settings print collect\n```\n\n"
        "Secrets are never in a URL or in this file: `LOGPROC_PASSWORD` and `LOGPROC_USER` (the store's), `LOGPROC_KAFKA_PASSWORD`; each can be"
        " in a file that the variable with `_FILE` names. What a `kafka://` URL does not say is taken from `LOGPROC_KAFKA_TLS`, `_CA`, `_CERT`,"
        " `_KEY`, `_KEY_PASSWORD`, `_SASL`, `_USER`.\n"
    ]
    for name in SETTABLE:
        command = main.load(name)
        rows = [
            f"| `{p.name.rstrip('_').replace('_', '-')}` | `{variable(name, p.name)}` | {expected(p)} | {shown_default(p)} | {cell(p.help)} |"
            for p in options(command)
        ]
        heading = f"## [{name}]\n\n| key | variable | takes | default | meaning |\n|--|--|--|--|--|"
        parts.append("\n".join([heading, *rows, ""]))
    return WRITTEN + "\n".join(parts)


def shown_default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return cell(parameter.show_default)
    value = getattr(parameter.default, "value", parameter.default)
    if value is None or value in ("", [], ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def flags_page() -> str:
    from parsers.flags import RESET_REASONS, RESPONSE_CODE_DETAILS, RESPONSE_FLAGS

    lines = [
        "# Response flags and response-code details\n",
        "What Envoy prints as `%RESPONSE_FLAGS%`; `logproc flags UO` prints one, and every store has them as the table `response_flag`.\n",
        "| flag | long name | usual code | what happened | where to look |\n|--|--|--|--|--|",
    ]
    lines += [f"| {f.short} | {f.long} | {f.code or ''} | {cell(f.meaning)} | {cell(f.look_at)} |" for f in RESPONSE_FLAGS.values()]  # fmt: skip
    lines += ["\n## Details (`%RESPONSE_CODE_DETAILS%`)\n", "| detail | who answered | what it means |\n|--|--|--|"]
    lines += [f"| `{cell(d.name)}` | {d.answered_by} | {cell(d.meaning)} |" for d in RESPONSE_CODE_DETAILS.values()]
    lines += ["\n## In the braces of `upstream_reset_*_response_started{...}`\n", "| reason | what it means |\n|--|--|"]
    lines += [f"| `{name}` | {cell(meaning)} |" for name, meaning in RESET_REASONS.items()]
    return WRITTEN + "\n".join(lines) + "\n"


def formats_page() -> str:
    from parsers import defaults

    tables = [value for name, value in sorted(vars(defaults).items()) if name.endswith("_DEFAULTS")]
    lines = [
        "# Formats\n",
        "Formats that need no configuration: with `--format auto`, the default, they are recognised, each stream by itself, and again when lines"
        " stop matching. A format of your own is given as its text, a file, or by the mesh config; `logproc formats check` says what is wrong"
        " with one, `logproc explain` shows where a line stops matching one.\n",
        "```console\n$ logproc formats\n$ logproc formats --help\n$ logproc explain --help\n```\n",
    ]
    for default in [d for table in tables for d in table]:
        lines.append(f"## {default.name}\n\n{default.releases}\n\n```text\n{default.text.rstrip()}\n```\n")
    return WRITTEN + "\n".join(lines)


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "flags.md": flags_page, "formats.md": formats_page}


def write() -> None:
    """Write the pages, and real output into the walk-throughs."""
    from tests.walkthroughs import FOLDER, refresh

    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
    for walk in sorted(FOLDER.glob("*.md")):
        with tempfile.TemporaryDirectory() as folder:
            refresh(walk, Path(folder))


if __name__ == "__main__":
    write()
