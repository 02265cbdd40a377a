"""What a client's SQL may do: nothing reaches files, other machines, programs, or another database's rows.

Three doors, one behind the other: the engine's own parser says what kind of statement it is; its syntax tree is read here against
lists of what is allowed; and a read-only statement runs on a connection that the engine itself keeps from writing. A table of
another place would be read like one of ours (`file('/etc/passwd')`, or `default.\\`/etc/passwd\\``), hence lists of what is allowed,
not of what is known to be bad: what a new engine brings is refused until somebody has thought about it.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from logproc.errors import QueryError
from logproc.serve.engine import Engine, Kind
from logproc.serve.statements import SYNTAX_ERROR, Token, tokens

ACCESS_DENIED = 497
READONLY = 164

TABLE_FUNCTIONS = frozenset({
    "numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series", "values", "sqlstandardvalues", "view", "null", "format",
})  # fmt: skip
"""Those that make rows of nothing but their arguments."""

_FUNCTIONS_DENIED = re.compile(
    r"""file | filesystem.* | (try)?dict(get|has|isin).* | joinget.* | ai.* | sleep.* | region.* | hascolumnintable | .*zookeeper.* | reversedns.*
    | getmacro | getserverport | tcpport | getserversetting | serveruuid | getclienthttpheader | catboost.* | addressto.* | demangle | symbol.*
    | evalmlmethod | modelevaluate | trap | buildid | fuzz.* | initialquery.* | initial_query.* | showcertificate | gethttp.* | python | executable
    | eval | loop | remote.* | url | input | dictionary | __getscalar | __applyfilter | .*profiles | getoskernelversion | mergetree.*
    | chdb | structureto.* | naivebayes.* | transactio.* | pg_get_userbyid""",
    re.VERBOSE,
)
"""Lower-case names of functions that reach beyond their arguments and the rows: files, other tables by name, other machines, the process."""

_COMBINATOR = re.compile(r"(SimpleState|State|Merge|MergeState|If|Array|Map|ForEach|Distinct|OrDefault|OrNull|Resample|ArgMin|ArgMax|Null|Tuple)$", re.IGNORECASE)  # fmt: skip
_UNLISTED = frozenset(
    {
        "lambda",
        "untuple",
        "_cast",
        "cast",
        "exists",
        "columns",
        "tuple",
        "array",
        "map",
        "grouping",
        "interval",
        "kql_array_sort_asc",
    }
)
"""What the parser makes of SQL's own words."""

SYSTEM_TABLES = frozenset({
    "one", "numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "databases", "tables", "columns", "functions", "formats", "settings",
    "table_functions", "table_engines", "data_type_families", "aggregate_function_combinators", "collations", "time_zones", "keywords", "build_options", "licenses",
    "contributors", "parts", "parts_columns", "merges", "mutations", "metrics", "events", "asynchronous_metrics", "data_skipping_indices", "projections",
    "database_engines", "codecs", "unicode", "completions", "tokenizers", "documentation", "data_skipping_index_types", "disk_types",
})  # fmt: skip
"""What a read-only user may see of the engine: no other client's SQL, no secrets, no paths of the machine."""

VISIBLE_BY = {"tables": "database", "columns": "database", "databases": "name", "parts": "database", "parts_columns": "database",
              "merges": "database", "mutations": "database", "data_skipping_indices": "database", "projections": "database"}  # fmt: skip
"""Tables of `system` about all databases, with the column that names one."""

_ENGINES = frozenset({
    "mergetree", "replacingmergetree", "summingmergetree", "aggregatingmergetree", "collapsingmergetree", "versionedcollapsingmergetree",
    "coalescingmergetree", "graphitemergetree", "memory", "log", "tinylog", "stripelog", "null", "set", "join", "view", "materializedview",
    "atomic",
})  # fmt: skip
"""Of tables and databases that keep their rows in the store, and name no other. One of Kafka would keep the store from ever opening again."""

_READS = frozenset({"SelectWithUnionQuery", "SelectQuery", "SelectIntersectExceptQuery", "Explain", "DescribeQuery", "ShowTables", "ShowColumns", "ShowIndexes",
                    "ShowFunctions", "ShowCreateTableQuery", "ShowCreateViewQuery", "ShowCreateDatabaseQuery", "ExistsTableQuery", "ExistsViewQuery", "ExistsDatabaseQuery",
                    "ShowSettingQuery", "ShowEngineQuery", "ShowEnginesQuery"})  # fmt: skip
_WRITES = _READS | {
    "InsertQuery", "CreateQuery", "AlterQuery", "DropQuery", "TruncateQuery", "DetachQuery", "Rename", "RenameQuery", "OptimizeQuery", "DeleteQuery", "UpdateQuery", "CheckQuery",
    "UndropQuery", "ShowProcesslistQuery", "KillQueryQuery",
}  # fmt: skip

UNSAFE_SETTINGS = re.compile(
    r"""(output_)?format_schema\w* | format_template_\w+ | (s3|azure|hdfs|iceberg|ai|url|delta_lake|object_storage|hive|named_collection|backup|restore)_\w+ | allow_introspection_functions
    | \w*_path | \w*disk\w* | storage_policy_override | engine_file_\w+ | user_files\w* | allow_ddl | readonly | profile | dialect | allow_experimental_(prql|kusto|polyglot)_dialect""",
    re.VERBOSE,
)
"""What nobody may set over HTTP: files of the machine, other machines, another SQL, and what the guard stands on."""

_NODE = re.compile(r"( *)(\S.*?)(?: \(children (\d+)\))?\Z", re.DOTALL)
_ENGINE_OWN = ("default",)
"""The engine's own database: there a table's name is also looked for among the files of the machine."""

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one user may: `readonly` nothing but reading; `databases` those whose tables they may read, empty for all of the store."""

    readonly: bool = False
    databases: frozenset[str] = frozenset()


@dataclass(slots=True)
class Node:
    """One node of a syntax tree: `Function sum` has the label Function and the text sum."""

    label: str
    text: str
    parent: Node | None
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """This node and all under it."""
        yield self
        for child in self.children:
            yield from child.walk()


def tree(text: str) -> Node:
    """The syntax tree that EXPLAIN AST printed.

    Names in it can hold line breaks, and so lines that look like nodes; the numbers of children tell.
    """
    root = Node("", "", None)
    at, promised = [root], [1]
    for line in text.rstrip("\n").split("\n"):
        found = _NODE.match(line)
        if found is None:
            _refuse("a name with a line break")
        depth = len(found[1]) + 1
        if depth > len(at):
            _refuse("a name with a line break")
        _complete(at[depth:], promised[depth:])
        del at[depth:], promised[depth:]
        label, _, rest = found[2].partition(" ")
        node = Node(label, rest.split(" (alias ")[0].strip(), at[-1])
        at[-1].children.append(node)
        at.append(node)
        promised.append(int(found[3] or 0))
    _complete(at, promised)
    return root.children[0]


def _complete(nodes: list[Node], promised: list[int]) -> None:
    if any(len(node.children) != count for node, count in zip(nodes, promised, strict=True)):
        _refuse("a name with a line break")


class Guard:
    """Decides for one engine; what it found harmless it remembers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._functions = frozenset(
            name.lower() for name in engine.names("SELECT name FROM system.functions WHERE origin = 'System'")
        )
        self._other_tables = (
            frozenset(name.lower() for name in engine.names("SELECT name FROM system.table_functions"))
            - TABLE_FUNCTIONS
        )
        self._harmless: OrderedDict[tuple[object, ...], Kind] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, sql: str, parameters: Mapping[str, str], may: Permissions, *, changes: bool = True) -> Kind:
        """What kind of statement it is. Raises QueryError for what this user may not do. `changes` False: as GET, only reading."""
        key = (sql, tuple(sorted(parameters.items())), may, changes)
        with self._lock:
            if known := self._harmless.get(key):
                self._harmless.move_to_end(key)
                return known
        kind = self._check(sql, parameters, may, changes=changes)
        if len(sql) < 10_000:
            with self._lock:
                self._harmless[key] = kind
                while len(self._harmless) > _REMEMBERED:
                    self._harmless.popitem(last=False)
        return kind

    def _check(self, sql: str, parameters: Mapping[str, str], may: Permissions, *, changes: bool) -> Kind:
        kind, count = self._engine.classify(sql)
        if count > 1:
            raise QueryError("Multi-statements are not allowed", code=SYNTAX_ERROR)
        readonly = may.readonly or not changes
        if kind is Kind.UNKNOWN:
            # The engine says what it cannot read, and nothing runs.
            self._engine.syntax(sql, parameters)
            raise QueryError("Syntax error: this is no statement that the server can check", code=SYNTAX_ERROR)
        _refuse_words(sql)
        root = tree(self._engine.syntax(sql, parameters))
        if root.label == "Set":
            _refuse(
                "SET",
                "it needs a session, and requests share none: send settings in the URL, or as SETTINGS of the statement",
            )
        if root.label == "UseQuery":
            _refuse("USE", "it needs a session, and requests share none: send `database` in the URL")
        if readonly and (kind is not Kind.READ_ONLY or root.label not in _READS):
            how = "" if may.readonly else ". Use method POST for what changes something"
            raise QueryError(f"Cannot execute query in readonly mode{how}", code=READONLY)
        if root.label not in _WRITES:
            _refuse(f"a statement of this kind ({root.label})")
        if root.label == "Explain" and root.text.startswith("EXPLAIN TABLE OVERRIDE"):
            _refuse("EXPLAIN TABLE OVERRIDE")
        if root.label == "CreateQuery" and re.match(r"\s*CREATE\s+(OR\s+REPLACE\s+)?TEMPORARY\b", sql, re.IGNORECASE):
            _refuse("a temporary table", "it needs a session, and requests share none")
        defining = root.label in {"CreateQuery", "AlterQuery"}
        for node in root.walk():
            self._check_node(node, may, readonly=readonly, defining=defining)
        return kind

    def _check_node(self, node: Node, may: Permissions, *, readonly: bool, defining: bool) -> None:
        label = node.label
        if label == "Function":
            self._check_function(node, defining=defining)
        elif label in {"TableIdentifier", "Identifier"}:
            _check_name(node, may, readonly=readonly)
        elif label == "Set" and may.readonly and node.parent is not None:
            raise QueryError("Cannot modify settings in readonly mode: SETTINGS is not allowed", code=READONLY)
        elif label in {"Dictionary", "FunctionWithKeyValueArguments"}:
            _refuse("a dictionary")
        elif label == "AlterCommand" and re.match(r"(ATTACH|FETCH|FREEZE|UNFREEZE|MOVE|REPLACE)_", node.text):
            _refuse(f"ALTER ... {node.text.replace('_', ' ')}")
        elif (
            label
            in {"ShowCreateTableQuery", "ExistsTableQuery", "ShowCreateViewQuery", "ExistsViewQuery", "CheckQuery"}
            and node.children
        ):
            if len(node.children) > 1:
                _check_database(node.children[0].text, node.children[1].text, may, readonly=readonly)
        elif label in {
            "InsertQuery",
            "CreateQuery",
            "AlterQuery",
            "DropQuery",
            "DetachQuery",
            "TruncateQuery",
            "OptimizeQuery",
            "DeleteQuery",
            "UpdateQuery",
            "UndropQuery",
        }:
            _check_target(node)

    def _check_function(self, node: Node, *, defining: bool) -> None:
        name = node.text.lower()
        parent = node.parent.label if node.parent else ""
        above = f"{parent} {node.parent.text}".strip() if node.parent else ""
        if parent == "TableExpression" or parent in {"InsertQuery", "CreateQuery"}:
            if name not in TABLE_FUNCTIONS and not (parent == "TableExpression" and self._is_view(node.text)):
                _refuse(f"the table function {node.text}")
            return
        if above.startswith("Storage definition") and node is _engine_of(node.parent):
            if name not in _ENGINES:
                _refuse(f"the engine {node.text}")
            return
        if _FUNCTIONS_DENIED.fullmatch(name) or (
            defining and name in self._other_tables and name not in self._functions
        ):
            _refuse(f"the function {node.text}")
        if not defining and not self._known(name):
            # Either it does not exist, or it is one that somebody defined: what that does is not in this tree.
            raise QueryError(f"Function with name `{node.text}` does not exist, or is not allowed here", code=46)

    def _is_view(self, name: str) -> bool:
        """A view with parameters is asked like a function: `hop_between(since = ...)`. Only the store's own count."""
        own = self._engine.database
        name = name.removeprefix(f"{own}.")
        if name.lower() in self._other_tables or not re.fullmatch(r"\w+", name):
            return False
        return name in self._engine.names(
            f"SELECT name FROM system.tables WHERE database = '{own}' AND engine = 'View'"  # noqa: S608  a name of ours
        )

    def _known(self, name: str) -> bool:
        while name not in self._functions and name not in _UNLISTED:
            shorter = _COMBINATOR.sub("", name)
            if shorter == name:
                return False
            name = shorter
        return True


def _engine_of(storage: Node | None) -> Node | None:
    """ENGINE comes first in a storage definition; functions after it are of the keys."""
    return storage.children[0] if storage and storage.children else None


def _check_name(node: Node, may: Permissions, *, readonly: bool) -> None:
    """A table, or a column that could be one (`x IN default.file`)."""
    database, dot, name = node.text.partition(".")
    if not dot:
        return
    if (
        node.label == "TableIdentifier"
        or _after_in(node)
        or (database.lower() == "system" and name.split(".")[0] not in SYSTEM_TABLES and readonly)
        or database in _ENGINE_OWN
    ):
        _check_database(database, name, may, readonly=readonly)


def _after_in(node: Node) -> bool:
    """On the right of IN a name is a table's."""
    arguments = node.parent
    call = arguments.parent if arguments else None
    if (
        arguments is None
        or call is None
        or call.label != "Function"
        or not call.text.lower().endswith(("in", "inignoreset"))
    ):
        return False
    return arguments.children[-1] is node


def _check_database(database: str, table: str, may: Permissions, *, readonly: bool) -> None:
    if database in _ENGINE_OWN:
        _refuse(
            f"the database {database}",
            "its tables are also the files of the machine; `logproc` is the store's own, and any other can be made",
        )
    if not may.readonly and not readonly:
        return
    if database.lower() == "information_schema":
        return
    if database == "system":
        if may.readonly and table.split(".", maxsplit=1)[0] not in SYSTEM_TABLES:
            _refuse(f"the table system.{table}")
    elif may.databases and database not in may.databases:
        _refuse(f"the database {database}")


def _check_target(node: Node) -> None:
    names = [child.text for child in node.children if child.label == "Identifier"]
    for name in names[:-1]:
        if name in _ENGINE_OWN:
            _check_database(name, names[-1], Permissions(), readonly=False)


def _refuse_words(sql: str) -> None:
    """What a syntax tree does not show: names of settings and of clusters, files to write and to read."""
    found = list(tokens(sql))
    for here, after in itertools.pairwise(found):
        if (here.word, after.word) in {("INTO", "OUTFILE"), ("FROM", "INFILE")}:
            _refuse(f"{here.word} {after.word}", "files of the server are not a client's")
        if (here.word, after.word) == ("ON", "CLUSTER"):
            _refuse("ON CLUSTER")
        # Not every place of a table is in the tree (CREATE TABLE x AS default.y).
        name = here.text.strip('`"“”')
        if after.text == "." and here.kind in {"word", "text"} and (name in _ENGINE_OWN or "\\" in name):
            _check_database(_ENGINE_OWN[0], "", Permissions(), readonly=False)
    for place, token in enumerate(found):
        if token.word in {"SETTINGS", "SETTING"}:
            for setting in _settings(found, place):
                if setting.kind == "text" or UNSAFE_SETTINGS.fullmatch(setting.text.lower()):
                    _refuse(f"the setting {setting.text}")


def _settings(found: Sequence[Token], place: int) -> Iterator[Token]:
    """The names that follow SETTINGS: each before a `=`, and behind SETTINGS or a comma."""
    depth = found[place].depth
    for before, name, sign in zip(found[place:], found[place + 1 :], found[place + 2 :], strict=False):
        if name.depth < depth:
            return
        if name.depth == depth and sign.text == "=" and (before is found[place] or before.text == ","):
            yield name


def _refuse(what: str, why: str = "") -> NoReturn:
    raise QueryError(f"Not enough privileges: {what} is not allowed here{why and f': {why}'}", code=ACCESS_DENIED)
