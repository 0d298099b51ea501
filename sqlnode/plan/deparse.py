"""Scalars back to SQL, as PostgreSQL's pg_get_expr prints them.

**Model.** Used for what the catalog shows and stores: defaults and CHECK conditions. A cast that
nobody wrote is left out where the grammar around it would make it again (`shows_casts` is false),
constants carry their type unless it is plain from their spelling. Operators stand in parentheses;
`pretty` leaves out those that precedence makes unnecessary. The text binds to an equal scalar.

Source: PostgreSQL, src/backend/utils/adt/ruleutils.c (get_rule_expr, get_const_expr, isSimpleNode).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pgwire.codecs.registry import text_out
from pgwire.errors import FeatureNotSupported
from sqlnode.functions.registry import REGISTRY, Function
from sqlnode.plan.deparse_parens import is_simple
from sqlnode.plan.quoting import quote_literal, quote_name
from sqlnode.plan.scalar import (
    And,
    AnyAll,
    ArrayItems,
    BoolTest,
    Call,
    Case,
    Cast,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
    InList,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
    RowItems,
)
from sqlnode.types import BOOL, INT4, NUMERIC, TEXT, UNKNOWN, VARCHAR, SqlType, format_stored_type

RegName = Callable[[int, int], str]  # (type OID, OID) → the name a reg* value prints as
_REG_OIDS: Final = frozenset({24, 2202, 2205, 2206, 4089, 4096})
# Functions that SQL spells as key words, and that pg_get_expr prints so.
_KEYWORD_FUNCTIONS: Final = frozenset(
    {"current_timestamp", "current_date", "localtime", "localtimestamp", "current_user", "user"}
    | {"session_user", "current_role", "current_catalog", "current_schema"}
)
_INDENT: Final = 4


def deparse(node: Any, *, pretty: bool = False, reg_name: RegName | None = None) -> str:
    """Return the SQL text of a bound scalar. Raises: FeatureNotSupported.

    reg_name: how regclass constants and their kin are named; without it they are numbers, which
    renaming does not touch.
    """
    return _Printer(pretty, reg_name).text(node)


class _Printer:
    """Prints one scalar; `indent` is the depth of CASE."""

    def __init__(self, pretty: bool, reg_name: RegName | None) -> None:
        self.pretty = pretty
        self.reg_name = reg_name
        self.indent = 0

    def text(self, node: Any, *, shows_casts: bool = False) -> str:
        """Return the text of a scalar."""
        if isinstance(node, Cast | Coerce):
            return self._cast(node, shows_casts=shows_casts)
        write = _WRITERS.get(type(node))
        if write is None:
            name = type(node).__name__
            raise FeatureNotSupported(f"{name} in a stored expression is not supported")
        return write(self, node)

    def part(self, node: Any, parent: Any, *, shows_casts: bool = False) -> str:
        """Return the text of an operand, in parentheses if it needs them."""
        text = self.text(node, shows_casts=shows_casts)
        return f"({text})" if self.pretty and not is_simple(node, parent) else text

    def own(self, text: str) -> str:
        """Put an operator's text in its own parentheses."""
        return text if self.pretty else f"({text})"

    def items(self, nodes: Any) -> str:
        """Return a list of arguments, casts shown."""
        return ", ".join(self.text(node, shows_casts=True) for node in nodes)

    # constants and casts

    def const(self, node: Const, *, labelled: bool = True) -> str:
        """Return a constant; without label where a cast follows anyway."""
        label = f"::{format_stored_type(node.type)}" if labelled else ""
        if node.value is None:
            return "NULL" if node.type.oid == UNKNOWN.oid else f"NULL{label}"
        if node.type.oid == BOOL.oid:
            return "true" if node.value else "false"
        if node.type.oid in _REG_OIDS and self.reg_name is not None:
            return quote_literal(self.reg_name(node.type.oid, node.value)) + label
        text = text_out(node.type.oid)(node.value, None)
        if node.type.oid == INT4.oid and text[0] != "-":
            return text
        if node.type.oid == NUMERIC.oid and text[0].isdigit() and "." in text:
            return text if node.type.typmod < 0 else text + label
        return quote_literal(text) + ("" if node.type.oid == UNKNOWN.oid else label)

    def _cast(self, node: Cast | Coerce, *, shows_casts: bool) -> str:
        if not (node.explicit or shows_casts):
            return self.part(node.arg, node) if isinstance(node, Cast) else self.text(node.arg)
        return self.coerced(node.arg, node.type, node)

    def coerced(self, arg: Any, target: SqlType, parent: Any) -> str:
        """Return `arg::target`."""
        if isinstance(parent, Coerce) and isinstance(arg, Cast):
            arg = arg.arg  # x::varchar(3) is two steps inside, one as written
        shown = format_stored_type(target)
        if isinstance(arg, Const) and arg.type == target.bare and arg.value is not None:
            return f"{self.const(arg, labelled=False)}::{shown}"
        inner = self.part(arg, parent)
        return f"{inner}::{shown}" if self.pretty else f"({inner})::{shown}"

    # calls

    def call(self, node: Call) -> str:
        symbol = operator_symbol(node.function)
        if symbol is not None and len(node.args) == 2:
            left, right = (self.part(arg, node, shows_casts=True) for arg in node.args)
            return self.own(f"{left} {symbol} {right}")
        if symbol is not None:
            return self.own(f"{symbol} {self.part(node.args[0], node, shows_casts=True)}")
        return self._function(node, node.function.name)

    def _function(self, node: Call, name: str) -> str:
        if name in _KEYWORD_FUNCTIONS:
            return name.upper() + (f"({self.items(node.args)})" if node.args else "")
        if name == "extract" and isinstance(unit := node.args[0], Const):
            return f"EXTRACT({unit.value} FROM {self.text(node.args[1])})"
        if name == "timezone" and len(node.args) == 2:
            zone, time = node.args
            return f"({self.part(time, node)} AT TIME ZONE {self.part(zone, node)})"
        if name == "position":
            whole, sought = (self.text(arg) for arg in node.args)
            return f"POSITION(({sought}) IN ({whole}))"
        if name == "btrim" and len(node.args) <= 2:
            whole, *chars = (self.text(arg) for arg in node.args)
            return f"TRIM(BOTH {''.join(char + ' ' for char in chars)}FROM {whole})"
        if name == "array_subscript":
            bounds = "".join(f"[{self.text(bound)}]" for bound in node.args[1:])
            return self.subscripted(node.args[0]) + bounds
        if name == "array_slice":
            ends = (
                self.text(e) if getattr(e, "value", e) is not None else "" for e in node.args[1:]
            )
            return f"{self.subscripted(node.args[0])}[{':'.join(ends)}]"
        return f"{quote_name(name)}({self.items(node.args)})"

    def _bound(self, node: Any) -> str:
        return "" if isinstance(node, Const) and node.value is None else self.text(node)

    def subscripted(self, node: Any) -> str:
        text = self.text(node)
        return text if isinstance(node, ColumnRef) else f"({text})"

    # conditions

    def joined(self, node: And | Or) -> str:
        word = " AND " if isinstance(node, And) else " OR "
        return self.own(word.join(self.part(arg, node) for arg in node.args))

    def negation(self, node: Not) -> str:
        return self.own(f"NOT {self.part(node.arg, node)}")

    def null_test(self, node: IsNull) -> str:
        word = "NOT NULL" if node.negated else "NULL"
        return self.own(f"{self.part(node.arg, node, shows_casts=True)} IS {word}")

    def bool_test(self, node: BoolTest) -> str:
        word = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.wanted]
        is_not = "NOT " if node.negated else ""
        return self.own(f"{self.part(node.arg, node)} IS {is_not}{word}")

    def distinct(self, node: IsDistinct) -> str:
        left = self.part(node.left, node, shows_casts=True)
        right = self.part(node.right, node, shows_casts=True)
        text = self.own(f"{left} IS DISTINCT FROM {right}")
        return self.own(f"NOT {text}") if node.negated else text

    def in_list(self, node: InList) -> str:
        """PostgreSQL stores IN as = ANY over an array, or as ORs where columns are in the list."""
        if any(isinstance(part, ColumnRef) for item in node.items for part in _parts(item)):
            return self._in_columns(node)
        if len(node.items) == 1:
            return self.text(self._equal(node, node.items[0]))
        middle = "<> ALL" if node.negated else "= ANY"
        array = self._list(node.items)
        return self.own(f"{self.part(node.arg, node, shows_casts=True)} {middle} ({array})")

    def _list(self, items: tuple[Any, ...]) -> str:
        varchars = _varchars(items)
        if not varchars:
            return f"ARRAY[{self.items(items)}]"
        array = f"ARRAY[{self.items(varchars)}]"  # PostgreSQL casts the list as a whole
        return f"{array}::text[]" if self.pretty else f"({array})::text[]"

    def _equal(self, node: InList, item: Any) -> Any:
        call = Call(node.equals, (node.arg, item), BOOL)
        if not node.negated:
            return call
        return Call(negator(node.equals), (node.arg, item), BOOL)

    def _in_columns(self, node: InList) -> str:
        tests = tuple(self._equal(node, item) for item in node.items)
        if len(tests) == 1:
            return self.text(tests[0])
        return self.joined(And(tests) if node.negated else Or(tests))

    def any_all(self, node: AnyAll) -> str:
        word = "ALL" if node.is_all else "ANY"
        arg = self.part(node.arg, node, shows_casts=True)
        if isinstance(node.array, ArrayItems) and _varchars(node.array.items):
            array = self._list(node.array.items)
        else:
            array = self.part(node.array, node, shows_casts=True)
        return self.own(f"{arg} {operator_symbol(node.function)} {word} ({array})")

    # forms with key words

    def case(self, node: Case) -> str:
        """PostgreSQL breaks the line before each key word of CASE, pretty or not."""
        outer, inner = "\n" + " " * self.indent, "\n" + " " * (self.indent + _INDENT)
        self.indent += _INDENT
        whens = "".join(
            f"{inner}WHEN {self.text(condition)} THEN {self.text(result, shows_casts=True)}"
            for condition, result in node.whens
        )
        default = self.text(node.default, shows_casts=True)
        self.indent -= _INDENT
        return f"{outer}CASE{whens}{inner}ELSE {default}{outer}END"

    def named(self, node: Coalesce | MinMax | NullIf | ArrayItems | RowItems) -> str:
        match node:
            case Coalesce():
                return f"COALESCE({self.items(node.args)})"
            case MinMax():
                return f"{'GREATEST' if node.greatest else 'LEAST'}({self.items(node.args)})"
            case NullIf():
                return f"NULLIF({self.items((node.left, node.right))})"
            case RowItems():
                return f"ROW({self.items(node.items)})"
        label = "" if node.items else f"::{format_stored_type(node.type)}"
        return f"ARRAY[{self.items(node.items)}]{label}"

    def column(self, node: ColumnRef) -> str:
        return quote_name(node.name)


_WRITERS: Final[dict[type, Callable[[_Printer, Any], str]]] = {
    Const: _Printer.const,
    ColumnRef: _Printer.column,
    Call: _Printer.call,
    And: _Printer.joined,
    Or: _Printer.joined,
    Not: _Printer.negation,
    IsNull: _Printer.null_test,
    BoolTest: _Printer.bool_test,
    IsDistinct: _Printer.distinct,
    InList: _Printer.in_list,
    AnyAll: _Printer.any_all,
    Case: _Printer.case,
    Coalesce: _Printer.named,
    MinMax: _Printer.named,
    NullIf: _Printer.named,
    ArrayItems: _Printer.named,
    RowItems: _Printer.named,
}


def _parts(node: Any) -> Any:
    from sqlnode.plan.scalar import walk

    return walk(node)


def _varchars(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the varchar constants of a list that is compared as text, nothing for other lists."""
    inner = tuple(item.arg for item in items if isinstance(item, Cast) and item.type == TEXT)
    if len(inner) < len(items):
        return ()
    return inner if all(isinstance(c, Const) and c.type.oid == VARCHAR.oid for c in inner) else ()


@lru_cache(maxsize=1)
def _symbols() -> dict[int, tuple[str, str | None]]:
    return {
        id(operator.function): (symbol, operator.negator)
        for symbol, operators in REGISTRY.operators.items()
        for operator in operators
    }


def operator_symbol(function: Function) -> str | None:
    """Return the operator that a function stands behind, None for an ordinary function."""
    found = _symbols().get(id(function))
    if found is not None:
        return found[0]
    # A function made for its argument types is known by the name of the entry it was made from.
    for entry in REGISTRY.functions.get(function.name, ()):
        if entry.specialize is not None and id(entry) in _symbols():
            return _symbols()[id(entry)][0]
    return None


def negator(function: Function) -> Function:
    """Return the function behind the <> that belongs to an =."""
    for operator in REGISTRY.operators["<>"]:
        same_left = operator.left is not None and operator.left == function.arguments[0]
        if same_left and operator.right == function.arguments[1]:
            return operator.function
    raise FeatureNotSupported(f"{function.name} has no negator")
