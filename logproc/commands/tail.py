"""`logproc tail`: the live view."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError

if TYPE_CHECKING:
    from logproc.tail.feeds import Feed
    from logproc.tail.session import Shows
    from logproc.tail.summary import Expectation
    from logproc.tail.targets import Targets

TITLE = "Live: the log lines of pods, files or pipes, parsed, coloured and filtered."

LAST_LINES = 10


class Color(StrEnum):
    """When to use colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class By(StrEnum):
    """What a row of the summary stands for."""

    SERVICE = "service"
    EDGE = "edge"
    SUBSET = "subset"
    POD = "pod"


def _completes(what: str) -> Callable[[typer.Context, str], list[str]]:
    def words(ctx: typer.Context, incomplete: str) -> list[str]:
        from logproc.tail.completion import complete

        return complete(what, ctx.params, incomplete)

    return words


_LABELS, _NAMESPACES, _CONTEXTS = _completes("labels"), _completes("namespaces"), _completes("contexts")
_CONTAINERS, _TARGETS = _completes("containers"), _completes("targets")


def run(
    names: list[str] = typer.Argument(
        None, metavar="[TARGET...]", help="deploy/NAME, sts/, job/, svc/, pod/ ...; a pattern of pod names; FILE, DIR or -; a URL.",
        autocompletion=_TARGETS,
    ),
    *,
    selector: str = typer.Option("", "--selector", "-l", metavar="SELECTOR", autocompletion=_LABELS, show_envvar=False, help="Pods with these labels: app=web,version!=v1."),
    namespace: str = typer.Option("", "--namespace", "-n", show_envvar=False, help="Namespace.", autocompletion=_NAMESPACES, show_default="the context's"),
    all_namespaces: bool = typer.Option(False, "--all-namespaces", "-A", show_envvar=False, help="Pods of all namespaces."),
    container: str = typer.Option(
        "", "--container", "-c", metavar="NAMES", show_envvar=False, help="Containers, with commas; patterns too.", show_default="istio-proxy, else the default one",
        autocompletion=_CONTAINERS,
    ),
    all_containers: bool = typer.Option(False, "--all-containers", show_envvar=False, help="Every container, native sidecars too."),
    field_selector: str = typer.Option("", "--field-selector", metavar="FIELDS", show_envvar=False, help="For example spec.nodeName=node-1."),
    context: str = typer.Option("", "--context", show_envvar=False, help="Context of the kubeconfig.", autocompletion=_CONTEXTS),
    follow: bool = typer.Option(True, "--follow/--no-follow", "-f", show_envvar=False, help="Wait for more, or show what is there."),
    tail: int = typer.Option(None, "--tail", metavar="N", show_envvar=False, help="Last lines of each container or file to begin with; -1: all.", show_default="10"),
    since: str = typer.Option("", "--since", metavar="TIME", show_envvar=False, help="Begin there: 15m, 2h, 2026-11-21T10:00:00Z."),
    previous: bool = typer.Option(False, "--previous", "-p", show_envvar=False, help="The log of the container before its last restart."),
    max_log_requests: int = typer.Option(500, "--max-log-requests", metavar="N", min=1, show_envvar=False, help="Log streams at a time; more containers wait."),
    code: str = typer.Option("", "--code", metavar="CODES", show_envvar=False, help="Response codes: 5xx,404."),
    flag: str = typer.Option("", "--flag", metavar="FLAGS", show_envvar=False, help="One of these response flags: UO,UF."),
    slower: str = typer.Option("", "--slower", metavar="TIME", show_envvar=False, help="Took at least that long: 500ms."),
    path: str = typer.Option("", "--path", metavar="GLOBS", show_envvar=False, help="Paths (without query): '/api/*'."),
    method: str = typer.Option("", "--method", metavar="METHODS", show_envvar=False, help="GET,POST."),
    source: str = typer.Option("", "--source", metavar="APPS", show_envvar=False, help="Client's lines of these applications."),
    destination: str = typer.Option("", "--destination", metavar="SERVICES", show_envvar=False, help="To these services: reviews, reviews.shop."),
    subset: str = typer.Option("", "--subset", metavar="SUBSETS", show_envvar=False, help="To these subsets: v2."),
    direction: str = typer.Option("", "--direction", metavar="SIDE", show_envvar=False, help="inbound (server's lines) or outbound (client's)."),
    no_probes: bool = typer.Option(False, "--no-probes", show_envvar=False, help="Without health checks: kube-probe, load balancers."),
    where: str = typer.Option("", "--where", metavar="EXPR", show_envvar=False, help="An expression over columns, as of `logproc parse`."),
    include: list[str] = typer.Option([], "--include", metavar="REGEX", show_envvar=False, help="Only lines in which this is found."),
    exclude: list[str] = typer.Option([], "--exclude", metavar="REGEX", show_envvar=False, help="No lines in which this is found."),
    highlight: list[str] = typer.Option([], "--highlight", metavar="REGEX", show_envvar=False, help="Mark it where it is shown."),
    only: str = typer.Option("", "--only", metavar="KIND", show_envvar=False, help="access or messages.", autocompletion=lambda: ["access", "messages"]),
    output: str = typer.Option(
        "text", "--output", "-o", metavar="FORM", show_envvar=False, help="text, wide, raw, json, jsonl, logfmt, or a template: '{time} {pod} {code}'.",
        autocompletion=lambda: ["text", "wide", "raw", "json", "jsonl", "logfmt"],
    ),
    explain: bool = typer.Option(False, "--explain", show_envvar=False, help="Below each error: what its flags mean and where to look."),
    timestamps: bool = typer.Option(False, "--timestamps", show_envvar=False, help="The runtime's time, whole, in place of the clock time."),
    color: Color = typer.Option(Color.AUTO, "--color", show_envvar=False, help="auto: on a terminal, unless NO_COLOR is set."),
    summary: bool = typer.Option(False, "--summary", show_envvar=False, help="A live table in place of lines."),
    by: By = typer.Option(By.SERVICE, "--by", show_envvar=False, help="What a row of the table is."),
    for_: str = typer.Option("", "--for", envvar="LOGPROC_TAIL_FOR", metavar="TIME", show_envvar=False, help="End after that long: 30s."),
    expect_weight: list[str] = typer.Option([], "--expect-weight", metavar="SUBSET=N%", show_envvar=False, help="With --summary --for: exit with 1 unless the subset got that share, as in beta=10±3%."),
    format: str = typer.Option("auto", "--format", show_envvar=False, help="A format's name, a format string, or auto."),
    frame: str = typer.Option("auto", "--frame", show_envvar=False, help="What stands around each line of a file or pipe."),
) -> int:  # fmt: skip
    """Show access logs as they are written: one aligned row for each request, component messages dimmed between them.

    Over the Kubernetes API it follows all containers that fit, those that start later too, from their first line; it goes on after
    log rotation, restarts, cut connections and expired tokens, without showing a line twice. Ctrl-C ends it.

    \b
    A row: time  pod  direction  method  path  code  flags  duration  upstream service  subset
      → outbound, the client's line      ← inbound, the server's line      ⇄ a waypoint's

    Defaults can be set in the settings file, or as LOGPROC_TAIL_NAMESPACE and the like.

    Examples:

    \b
      logproc tail -l app=storefront
      logproc tail deploy/storefront --code 5xx --explain
      logproc tail -A --no-probes --slower 500ms
      logproc tail 'storefront-.*' -n mushop --since 15m --no-follow -o jsonl | jq .path
      kubectl logs -l app=storefront -c istio-proxy --prefix -f | logproc tail -
      logproc tail /var/log/pods --only access
      logproc tail -l app=storefront --summary --by subset
      logproc tail -l app=storefront --summary --for 30s -o json --expect-weight beta=10±3%
    """
    from logproc.lean import arrow_without_pandas

    arrow_without_pandas()
    from logproc.memory import keep_little

    keep_little()
    from logproc.tail.filters import Wanted, compile_wanted, pattern
    from logproc.tail.forms import make_form
    from logproc.tail.session import Stop
    from logproc.tail.session import run as follow_feed
    from logproc.tail.summary import Expectation
    from logproc.tail.targets import read_targets

    now = datetime.now(UTC)
    begin = _instant("--since", since, now) if since else None
    seconds = _seconds("--for", for_) if for_ else None
    chosen = bool(selector or namespace or all_namespaces or field_selector or context)
    targets = read_targets(names or [], chosen=chosen, piped=not sys.stdin.isatty())
    if all_namespaces and namespace:
        raise ConfigError("--namespace and --all-namespaces exclude each other")
    filters = compile_wanted(
        Wanted(
            code, flag, slower, path, method, source, destination, subset, direction, no_probes, where, include, exclude, only,
            begin if targets.files or targets.stdin else None,
        ),
        now,
    )  # fmt: skip
    marks = tuple(pattern("--highlight", h) for h in highlight)
    expectations = [Expectation.parse(e) for e in expect_weight]
    if (by is not By.SERVICE or expectations) and not summary:
        raise ConfigError("--by and --expect-weight belong to --summary", "add --summary")
    if expectations and seconds is None and follow and not targets.stdin:
        raise ConfigError("--expect-weight needs an end to judge at", "add --for 30s")
    if summary and output not in ("text", "json", "jsonl"):
        raise ConfigError(f"--summary has no output {output!r}", "text or json")
    if not summary:
        make_form(output)
        _check_form(output)
    terminal = sys.stdout.isatty()
    stop = Stop()
    shows = _shows(locals())
    with stop.by_signals():
        feed = _feed(targets, locals())
        try:
            until = time.monotonic() + seconds if seconds is not None else None
            tally = follow_feed(feed, filters, shows, stop, until=until, terminal=terminal and not summary)
        finally:
            feed.close()
            shows.close()
    further = getattr(feed, "sentence", lambda: "")()
    if stop.asked or tally.unseen:
        _tell(f"\r\x1b[K{tally.sentence(further)}" if sys.stderr.isatty() else tally.sentence(further))
    return EXIT_FINDING if summary and _failed(shows, expectations) else EXIT_DONE


def _tell(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def _check_form(form: str) -> None:
    from logproc.tail.forms import FORMS

    if form not in FORMS and "{" not in form:
        raise ConfigError(
            f"--output: there is no form {form!r}", f"known: {', '.join(FORMS)}, or a template: '{{time}} {{path}}'"
        )


def _instant(option: str, text: str, now: datetime) -> datetime:
    from logproc import when

    try:
        return when.since(text, now)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no time", f"for example {when.EXAMPLES}") from None


def _seconds(option: str, text: str) -> float:
    from logproc import when

    try:
        return when.duration(text).total_seconds()
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no duration", "for example 30s or 5m") from None


def _shows(typed: dict[str, Any]) -> Shows:
    """What takes the rows: the summary, a form for programs, or the view."""
    import os

    from logproc.response_flags import RESPONSE_FLAGS
    from logproc.tail.forms import ended, make_form
    from logproc.tail.layout import Layout
    from logproc.tail.paint import Paint
    from logproc.tail.session import Printer
    from logproc.tail.summary import Summary
    from logproc.tail.summary_view import make_summary
    from logproc.tail.view import View

    terminal, output, color = typed["terminal"], typed["output"], typed["color"]
    if typed["summary"]:
        window = None if typed["seconds"] is not None or not typed["follow"] else 60.0
        return make_summary(
            Summary(window),
            typed["by"].value,
            as_json=output != "text",
            terminal=terminal,
            colours=_colours(color, terminal),
        )
    form = make_form(output)
    if form is not None:
        return Printer(form.text)
    layout = Layout(
        shutil.get_terminal_size().columns if terminal else None,
        wide=output == "wide",
        namespaces=typed["all_namespaces"],
        containers=typed["all_containers"] or "," in typed["container"],
        times=30 if typed["timestamps"] else 12,
    )
    view = View(
        layout,
        Paint(_colours(color, terminal), typed["marks"]),
        {f.short: f.long for f in RESPONSE_FLAGS.values()},
        _meanings if typed["explain"] else None,
        full_times=typed["timestamps"],
        unicode="utf" in (os.environ.get("PYTHONIOENCODING") or sys.stdout.encoding or "").lower(),
    )
    return Printer(lambda rows: ended(view.lines(rows)), layout.resize)


def _colours(color: Color, terminal: bool) -> bool:
    from logproc.output import colours

    return color is Color.ALWAYS or (color is Color.AUTO and terminal and colours())


def _meanings(flags: str, details: str) -> Sequence[str]:
    """What is known of an error: a line for each flag, and for the details where no flag says the same."""
    from parsers.flags import RESPONSE_CODE_DETAILS, RESPONSE_FLAGS

    found = []
    for short in flags.split(",") if flags else ():
        flag = RESPONSE_FLAGS.get(short)
        if flag is not None:
            found.append(f"{short}: {flag.meaning}; look at {flag.look_at}")
    detail = RESPONSE_CODE_DETAILS.get(details.split("{", maxsplit=1)[0].split("[", maxsplit=1)[0]) if details else None
    if detail is not None:
        found.append(f"{details}: {detail.meaning}")
    return found


def _feed(targets: Targets, typed: dict[str, Any]) -> Feed:
    """Open what was named."""
    from logproc.frames import frame_named
    from logproc.tail.feeds import LineFeed
    from logproc.tail.order import WINDOW_SECONDS, Order
    from logproc.tail.reading import RowReader
    from parsers import AUTO, open_parser

    raw = typed["output"] == "raw" or typed["filters"].reads_lines
    if targets.url:
        return _url_feed(targets.url, typed)
    known = None if typed["format"] == AUTO else open_parser(typed["format"])
    if targets.kubernetes:
        from logproc.tail.kube_feed import open_kubernetes

        return open_kubernetes(
            targets, parser=lambda: known or open_parser(), keep_raw=raw, tell=_told(typed["shows"]), labels=typed["selector"],
            fields=typed["field_selector"], namespace=typed["namespace"], everywhere=typed["all_namespaces"],
            containers=typed["container"], all_containers=typed["all_containers"], context=typed["context"],
            follow=typed["follow"], last_lines=typed["tail"], since=typed["begin"], previous=typed["previous"],
            max_requests=typed["max_log_requests"],
        )  # fmt: skip
    from logproc.discovery import Selection
    from logproc.files import FileSource
    from logproc.stdin import StdinSource
    from logproc.tail.last_lines import positions

    reader = RowReader(known or open_parser(), frame_named(typed["frame"]), keep_raw=raw)
    if targets.stdin:
        if sys.stdin.isatty():
            raise ConfigError("there is nothing to read", "pipe lines into it: ... | logproc tail -")
        return LineFeed(StdinSource(), reader, Order(0))
    count, tell = typed["tail"], _told(typed["shows"])
    if count is None:
        count = -1 if typed["since"] else LAST_LINES
    selection = Selection.parse("*" if typed["all_containers"] else typed["container"] or "istio-proxy")
    begin = positions(targets.files, selection, count, tell) if count >= 0 else None
    source = FileSource(targets.files, follow=typed["follow"], positions=begin, selection=selection, tell=tell)
    return LineFeed(source, reader, Order(WINDOW_SECONDS if typed["follow"] else 0))


def _url_feed(url: str, typed: dict[str, Any]) -> Feed:
    """The live end of a topic, or what is newly stored."""
    from logproc.errors import QueryError, Unavailable
    from logproc.tail.row_feeds import StoreFeed, TopicFeed
    from logproc.urls import Url

    parsed = Url.parse(url)
    tell = _told(typed["shows"])
    if parsed.scheme == "kafka":
        from logproc.broker import Broker

        last = LAST_LINES if typed["tail"] is None else typed["tail"]
        return TopicFeed(Broker.of(parsed), tell, typed["begin"], follow=typed["follow"], last=last)
    if parsed.scheme not in ("chdb", "clickhouse"):
        raise ConfigError(
            f"{url}: tail reads no {parsed.scheme}:", "files, -, pods, kafka://, clickhouse:// or chdb://"
        )
    from sinks.store import open_store

    store = open_store(url)

    def ask(sql: str) -> Any:
        try:
            return store.query_arrow(sql)
        except QueryError as error:
            if error.code:
                raise
            raise Unavailable(error.message, error.hint) from error

    count = typed["tail"]
    return StoreFeed(
        ask, tell, last=LAST_LINES if count is None else count, since=typed["begin"], follow=typed["follow"]
    )


def _told(shows: Shows) -> Callable[[str], None]:
    """Says something to the person once it is new, above a live table where there is one."""
    said: dict[str, float] = {}

    def tell(text: str) -> None:
        now = time.monotonic()
        if now - said.get(text, float("-inf")) > 60:
            said[text] = now
            getattr(shows, "say", _tell)(text)

    return tell


def _failed(shows: Any, expectations: Sequence[Expectation]) -> bool:
    """Print what the summary has at its end; whether an expectation failed."""
    failed: bool = shows.judge(expectations)
    shows.finish()
    return failed
