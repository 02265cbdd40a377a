"""A filter as a condition of ClickHouse SQL that selects the same rows.

The store has no null texts: what a line lacked (`-`) is `''` there, as is what it had empty; both count as missing here. A missing
number is stored as 0 and counts as 0, but for ports, of which 0 is none.
"""

from __future__ import annotations

from logproc.columns import Table
from logproc.reports import literal
from logproc.where import And, Between, Equals, Field, Filter, HasFlag, IsNull, Matches, Node, Not, Or, Ordered, Test

_NO_UUID = "toUUID('00000000-0000-0000-0000-000000000000')"


def condition(filter: Filter, table: Table) -> str:
    """The condition for WHERE; a row is selected where the filter is true, not where it is unknown."""
    return f"ifNull({_node(filter.root, table)}, 0)"


def _node(node: Node, table: Table) -> str:
    match node:
        case Not(part):
            return f"NOT ({_node(part, table)})"
        case And(parts):
            return "(" + " AND ".join(_node(part, table) for part in parts) + ")"
        case Or(parts):
            return "(" + " OR ".join(_node(part, table) for part in parts) + ")"
        case _:
            return _test(node, table)


def _test(test: Test, table: Table) -> str:
    kind = table.column(test.field.column).clickhouse
    value = _value(test.field, kind)
    match test:
        case Between(field, intervals):
            return "(" + " OR ".join(_inside(_number(field, kind), kind, low, high) for low, high in intervals) + ")"
        case Equals(_, values):
            texts = ", ".join(_uuid(v) if isinstance(v, bytes) else literal(v) for v in values)
            return f"{value} IN ({texts})"
        case Ordered(_, operator, text):
            return f"{value} {operator} {literal(text)}"
        case Matches(_, pattern):
            # The dot of the filter's language is no newline, unless its pattern says so.
            return f"match({value}, {literal(pattern if pattern.startswith('(?s)') else f'(?-s){pattern}')})"
        case HasFlag(field, names):
            return f"hasAny(splitByChar(',', toString({field.column})), {literal(list(names))})"
        case IsNull(field):
            return f"isNull({_number(field, kind) if _is_number(kind) else value})"


def _is_number(kind: str) -> bool:
    return "Int" in kind.removeprefix("Map") or kind.startswith("DateTime")


def _number(field: Field, kind: str) -> str:
    name = f"`{field.column}`"
    return f"nullIf({name}, 0)" if field.column.endswith("_port") and not kind.startswith("Nullable") else name


def _value(field: Field, kind: str) -> str:
    name = f"`{field.column}`"
    if field.key is not None:
        return f"nullIf({name}[{literal(field.key)}], '')"
    return f"nullIf({name}, {_NO_UUID})" if kind == "UUID" else f"nullIf(toString({name}), '')"


def _inside(value: str, kind: str, low: int | None, high: int | None) -> str:
    if kind.startswith("DateTime64"):
        bounds = [f"fromUnixTimestamp64Micro({n}, 'UTC')" if n is not None else None for n in (low, high)]
    else:
        bounds = [str(n) if n is not None else None for n in (low, high)]
    sides = [f"{value} {sign} {bound}" for sign, bound in zip((">=", "<="), bounds, strict=True) if bound is not None]
    return f"({' AND '.join(sides)})" if sides else f"isNotNull({value})"


def _uuid(value: bytes) -> str:
    digits = value.hex()
    return f"toUUID('{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}')"
