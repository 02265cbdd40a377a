"""What a syntax tree does not show, read from the statement as the engine writes it: without comments, quoted in one way.

Names of settings, files to write and to read, clusters, `APPLY(function)`, the conditions of SHOW and the assignments of a TTL are
words there and no nodes. A statement as its client wrote it would not do: comments and quotes are where words can be hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import NoReturn

from logproc.errors import QueryError
from logproc.serve.statements import Token, tokens

ACCESS_DENIED = 497

ENGINE_OWN = ("default",)
"""The engine's own database: there a table's name is also looked for among the files of the machine."""

FUNCTIONS_DENIED = re.compile(
    r"""file | filesystem.* | (try)?dict(get|has|isin).* | joinget.* | ai.* | sleep.* | region.* | hascolumnintable | .*zookeeper.* | reversedns.*
    | getmacro | getserverport | tcpport | getserversetting | serveruuid | getclienthttpheader | catboost.* | addressto.* | demangle | symbol.*
    | evalmlmethod | modelevaluate | trap | buildid | fuzz.* | initialquery.* | initial_query.* | showcertificate | gethttp.* | python | executable
    | eval | loop | remote.* | url | input | dictionary | __getscalar | __applyfilter | .*profiles | getoskernelversion | mergetree.*
    | chdb | structureto.* | naivebayes.* | transactio.* | pg_?get_?userbyid""",
    re.VERBOSE,
)
"""Lower-case names of functions that reach beyond their arguments and the rows: files, other tables by name, other machines, the process."""

UNSAFE_SETTINGS = re.compile(
    r"""(output_)?format_schema\w* | format_template_\w+ | (s3|azure|hdfs|iceberg|ai|url|delta_lake|object_storage|hive|named_collection|backup|restore)_\w+ | allow_introspection_functions
    | \w*_path | \w*disk\w* | storage_policy_override | engine_file_\w+ | user_files\w* | allow_ddl | readonly | profile | dialect | allow_experimental_(prql|kusto|polyglot)_dialect
    | input_format_values_\w+""",
    re.VERBOSE,
)
"""What nobody may set over HTTP: files of the machine, other machines, another SQL, and what the guard stands on."""

_TEXT_SETTINGS = re.compile(
    r"""insert_deduplication_token | log_comment | compatibility | query_cache_tag | count_distinct_implementation | workload | (bool_true|bool_false)_representation
    | format_(csv|tsv)_null_representation | format_custom_\w+ | format_regexp | format_json_object_each_row_column_for_object_name | output_format_\w+ | errors_output_format
    | input_format_(mysql_dump_table_name|orc_reader_time_zone_name) | (force|ignore)_data_skipping_indices | (force|preferred)_optimize_projection_name
    | exclude_materialize_skip_indexes_on_(insert|merge) | temporary_files_codec | network_compression_method | (default|marks|primary_key)_compression_codec
    | auto_statistics_types | columns_to_prewarm_mark_cache | (merge|mutation)_workload | string_serialization_version""",
    re.VERBOSE,
)
"""Settings that are a text and mean no place, no expression and no other name than their own. Of the others some are SQL that no tree shows."""

TEXT_SETTINGS = (
    "SELECT name FROM system.settings WHERE type IN ('String', 'Map', 'URI') UNION ALL "
    "SELECT name FROM system.merge_tree_settings WHERE type = 'String'"
)
"""Asks the engine for all of its settings that are a text."""


def refuse(what: str, why: str = "") -> NoReturn:
    """Raise QueryError for what is not allowed."""
    raise QueryError(f"Not enough privileges: {what} is not allowed here{why and f': {why}'}", code=ACCESS_DENIED)


def unsafe_setting(name: str, texts: Set[str]) -> bool:
    """Nobody may set it over HTTP. `texts`: the engine's settings that are a text."""
    name = name.lower()
    return UNSAFE_SETTINGS.fullmatch(name) is not None or (
        name in texts and _TEXT_SETTINGS.fullmatch(name) is None
    )  # fmt: skip


def check(formatted: str, texts: Set[str], *, showing: bool, applying: bool) -> None:
    """Raise QueryError for words that are not allowed. `showing`: the statement is a SHOW; `applying`: it has APPLY among its columns."""
    found = list(tokens(formatted))
    for place, here in enumerate(found):
        after = found[place + 1] if place + 1 < len(found) else None
        behind = found[place + 2] if place + 2 < len(found) else None
        if showing and (here.word == "WHERE" or (here.word == "LIMIT" and after and after.kind != "number")):
            refuse(f"SHOW ... {here.word}", "ask system.tables or system.columns instead")
        if after is None:
            continue
        if (here.word, after.word) in {("INTO", "OUTFILE"), ("FROM", "INFILE")}:
            refuse(f"{here.word} {after.word}", "files of the server are not a client's")
        if (here.word, after.word) == ("ON", "CLUSTER") and (behind is None or behind.kind != "sign"):
            refuse("ON CLUSTER")
        if applying and here.word == "APPLY":
            _check_applied(after, behind)
        if after.text == ".":
            _check_database(_name(here))
        elif after.text == "(" and FUNCTIONS_DENIED.fullmatch(_name(here).lower()):
            refuse(f"the function {here.text}")
    for setting in _settings(found):
        if setting.kind == "text" or unsafe_setting(setting.text, texts):
            refuse(f"the setting {setting.text}")


def _name(token: Token) -> str:
    """What a word or a quoted name says, "" for all else."""
    if token.kind == "word":
        return token.text
    return token.text[1:-1] if token.kind == "text" and token.text[0] in '`"“' else ""


def _check_database(name: str) -> None:
    if name in ENGINE_OWN or "\\" in name:
        refuse(
            f"the database {name}",
            "its tables are also the files of the machine; `logproc` is the store's own, and any other can be made",
        )


def _check_applied(function: Token, after: Token | None) -> None:
    if function.kind != "word" or (after is not None and after.text == "-"):
        refuse("APPLY with a lambda", "name a function, or write the columns out")
    if FUNCTIONS_DENIED.fullmatch(function.text.lower()):
        refuse(f"the function {function.text}")


def _settings(found: Sequence[Token]) -> Iterator[Token]:
    """The names that are set: each before a `=`, and behind SETTINGS or a comma."""
    depths: list[int] = []
    """Of the brackets in which SETTINGS stand that go on."""
    for before, name, sign in zip(found, found[1:], found[2:], strict=False):
        while depths and depths[-1] > before.depth:
            depths.pop()
        if sign.text != "=":
            continue
        if before.word in {"SETTINGS", "SETTING"}:
            if not depths or depths[-1] != before.depth:
                depths.append(before.depth)
            yield name
        elif before.text == "," and depths and depths[-1] == before.depth:
            yield name
