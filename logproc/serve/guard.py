"""What a client's SQL may do: nothing reaches files, other machines, programs, or another database's rows.

Three doors, one behind the other: the engine's own parser says what kind of statement it is; its syntax tree is read here against
lists of what is allowed; and a read-only statement runs on a connection that the engine itself keeps from writing. A table of
another place would be read like one of ours (`file('/etc/passwd')`, or `default.\\`/etc/passwd\\``), hence lists of what is allowed,
not of what is known to be bad: what a new engine brings is refused until somebody has thought about it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from logproc.errors import QueryError
from logproc.serve import words
from logproc.serve.engine import Engine, Kind
from logproc.serve.statements import SYNTAX_ERROR
from logproc.serve.words import ACCESS_DENIED, ENGINE_OWN, refuse

__all__ = ["ACCESS_DENIED", "Guard", "Permissions"]

READONLY, UNKNOWN_FUNCTION = 164, 46

TABLE_FUNCTIONS = frozenset({
    "numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series", "values", "sqlstandardvalues", "view", "null", "format",
})  # fmt: skip
"""Those that make rows of nothing but their arguments."""

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
    "database_engines", "codecs", "unicode", "tokenizers", "documentation", "data_skipping_index_types", "disk_types",
})  # fmt: skip
"""What a read-only user may see of the engine: no other client's SQL, no secrets."""

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

_COMPUTED_COLUMN = re.compile(r"\b(DEFAULT|MATERIALIZED|ALIAS|EPHEMERAL|CODEC|TTL)\b", re.IGNORECASE)
_UNTOUCHED = frozenset({*ENGINE_OWN, "system", "information_schema"})
"""Databases of the engine's own, which nobody may change."""

_NODE = re.compile(r"( *)(\S.*?)(?: \(children (\d+)\))?\Z", re.DOTALL)
_REMEMBERED = 1000
_MOST_NODES = 100_000
"""Of a tree; the engine runs none with more than 50,000 elements, but prints one of any size."""


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
        left = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))


def tree(text: str) -> Node:
    """The syntax tree that EXPLAIN AST printed.

    Names in it can hold line breaks, and so lines that look like nodes; the numbers of children tell.
    """
    if text.count("\n") > _MOST_NODES:
        raise QueryError(f"AST is too big: more than {_MOST_NODES} nodes", code=168)
    root = Node("", "", None)
    at, promised = [root], [1]
    for line in text.rstrip("\n").split("\n"):
        found = _NODE.match(line)
        if found is None:
            refuse("a name with a line break")
        depth = len(found[1]) + 1
        if depth > len(at):
            refuse("a name with a line break")
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
        refuse("a name with a line break")


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
        self.text_settings = engine.names(words.TEXT_SETTINGS)
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

    def harmless_values(self, data: str) -> bool:
        """The data of an INSERT ... VALUES can be computed; False where they cannot be read as SQL. Raises QueryError for what is not allowed.

        The engine computes them like any expression, with `file('/etc/passwd')` among them, and its tree of the INSERT ends before them.
        """
        sql = f"SELECT {data}"
        try:
            if self._engine.classify(sql) != (Kind.READ_ONLY, 1):
                return False
            self._check(sql, {}, Permissions(readonly=True), changes=False)
        except QueryError as error:
            if error.code in {ACCESS_DENIED, UNKNOWN_FUNCTION}:
                raise
            return False
        return True

    def _check(self, sql: str, parameters: Mapping[str, str], may: Permissions, *, changes: bool) -> Kind:
        kind, count = self._engine.classify(sql)
        if count > 1:
            raise QueryError("Multi-statements are not allowed", code=SYNTAX_ERROR)
        readonly = may.readonly or not changes
        if kind is Kind.UNKNOWN:
            # The engine says what it cannot read, and nothing runs.
            self._engine.syntax(sql, parameters)
            raise QueryError("Syntax error: this is no statement that the server can check", code=SYNTAX_ERROR)
        root = tree(self._engine.syntax(sql, parameters))
        if root.label == "Set":
            refuse(
                "SET",
                "it needs a session, and requests share none: send settings in the URL, or as SETTINGS of the statement",
            )
        if root.label == "UseQuery":
            refuse("USE", "it needs a session, and requests share none: send `database` in the URL")
        if readonly and (kind is not Kind.READ_ONLY or root.label not in _READS):
            how = "" if may.readonly else ". Use method POST for what changes something"
            raise QueryError(f"Cannot execute query in readonly mode{how}", code=READONLY)
        if root.label not in _WRITES:
            refuse(f"a statement of this kind ({root.label})")
        if root.label == "Explain" and root.text.startswith("EXPLAIN TABLE OVERRIDE"):
            refuse("EXPLAIN TABLE OVERRIDE")
        if root.label == "CreateQuery" and re.match(r"\s*CREATE\s+(OR\s+REPLACE\s+)?TEMPORARY\b", sql, re.IGNORECASE):
            refuse("a temporary table", "it needs a session, and requests share none")
        defining = root.label in {"CreateQuery", "AlterQuery"}
        applying = False
        for node in root.walk():
            applying = applying or node.label == "ColumnsApplyTransformer"
            self._check_node(node, may, readonly=readonly, defining=defining)
        showing = root.label.startswith("Show")
        words.check(self._engine.formatted(sql), self.text_settings, showing=showing, applying=applying)
        return kind

    def _check_node(self, node: Node, may: Permissions, *, readonly: bool, defining: bool) -> None:
        label = node.label
        if label == "Function":
            self._check_function(node, defining=defining)
        elif label in {"TableIdentifier", "Identifier"}:
            _check_name(node, may, readonly=readonly)
            if (
                label == "Identifier"
                and words.FUNCTIONS_DENIED.fullmatch(node.text.lower())
                and self._known(node.text.lower())
                and _in_expression(node)
            ):
                refuse(
                    f"the name {node.text}",
                    "it is a function too, which arrayMap and its like would call; write TABLE.NAME for a column",
                )
        elif label == "Set" and may.readonly and node.parent is not None:
            raise QueryError("Cannot modify settings in readonly mode: SETTINGS is not allowed", code=READONLY)
        elif label in {"Dictionary", "FunctionWithKeyValueArguments"}:
            refuse("a dictionary")
        elif label == "AlterCommand" and re.match(r"(ATTACH|FETCH|FREEZE|UNFREEZE|MOVE|REPLACE)_", node.text):
            refuse(f"ALTER ... {node.text.replace('_', ' ')}")
        elif (
            label
            in {"ShowCreateTableQuery", "ExistsTableQuery", "ShowCreateViewQuery", "ExistsViewQuery", "CheckQuery"}
            and len(node.children) > 1
        ):
            _check_database(node.children[0].text, node.children[1].text, may, readonly=readonly)
        elif label in {"ShowCreateDatabaseQuery", "ExistsDatabaseQuery"} and node.children:
            _check_database(node.children[0].text, "", may, readonly=readonly)
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
            "Rename",
            "RenameQuery",
        }:
            _check_target(node)

    def _check_function(self, node: Node, *, defining: bool) -> None:
        name = node.text.lower()
        parent = node.parent.label if node.parent else ""
        above = f"{parent} {node.parent.text}".strip() if node.parent else ""
        if parent == "TableExpression" or parent in {"InsertQuery", "CreateQuery"}:
            if name not in TABLE_FUNCTIONS and not (parent == "TableExpression" and self._is_view(node.text)):
                refuse(f"the table function {node.text}")
            _check_structure(node, name)
            return
        if above.startswith("Storage definition") and node is _engine_of(node.parent):
            if name not in _ENGINES:
                refuse(f"the engine {node.text}")
            return
        if words.FUNCTIONS_DENIED.fullmatch(name) or (
            defining and name in self._other_tables and name not in self._functions
        ):
            refuse(f"the function {node.text}")
        if not defining and not self._known(name):
            # Either it does not exist, or it is one that somebody defined: what that does is not in this tree.
            raise QueryError(
                f"Function with name `{node.text}` does not exist, or is not allowed here", code=UNKNOWN_FUNCTION
            )

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
        or database in ENGINE_OWN
    ):
        _check_database(database, name, may, readonly=readonly)


def _check_structure(function: Node, name: str) -> None:
    """The columns of `values`, `format` and `null` are a text, in which `ALIAS file('/etc/passwd')` could stand."""
    arguments = function.children[0].children if function.children else []
    place = {"values": 0, "sqlstandardvalues": 0, "null": 0, "format": 1}.get(name)
    if place is None or len(arguments) <= place or (name == "format" and len(arguments) < 3):
        return
    structure = arguments[place]
    if name.endswith("values") and (structure.label, structure.text) == ("Function", "tuple"):
        return
    if structure.label != "Literal" or _COMPUTED_COLUMN.search(structure.text):
        refuse(
            f"{function.text} with computed columns", "name the columns and their types in one text, and nothing else"
        )


def _in_expression(node: Node) -> bool:
    """It is computed with, and not a column that is named to be made or written to."""
    above = node.parent
    while above is not None:
        if above.label in {"SelectQuery", "Function"}:
            return True
        above = above.parent
    return False


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
    if database in ENGINE_OWN:
        refuse(
            f"the database {database}",
            "its tables are also the files of the machine; `logproc` is the store's own, and any other can be made",
        )
    if not may.readonly and not readonly:
        return
    if database.lower() == "information_schema":
        return
    if database == "system":
        if may.readonly and table.split(".", maxsplit=1)[0] not in SYSTEM_TABLES:
            refuse(f"the table system.{table}")
    elif may.databases and database not in may.databases:
        refuse(f"the database {database}")


def _check_target(node: Node) -> None:
    """Whole databases of the engine's own cannot be changed either: without `system` nothing can be asked any more."""
    for child in node.children:
        if child.label == "Identifier" and child.text.lower() in _UNTOUCHED:
            refuse(f"{node.label.removesuffix('Query').upper()} of the database {child.text}", "it is the engine's own")
