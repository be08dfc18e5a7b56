"""GreptimeDB's SQL expressions in sqlite's: names, casts, timestamps as text, intervals, exact decimals.

Works on tokens, left to right, without a syntax tree. What sqlite then refuses is refused; what both accept with another meaning is
listed in the README of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.greptimedb_double import ddl, literals
from tests.greptimedb_double.catalog import Table
from tests.greptimedb_double.datatypes import DataType
from tests.greptimedb_double.lexer import END, Cursor, Token
from tests.greptimedb_double.status import ServerError, StatusCode, syntax

INFORMATION_SCHEMA = "information_schema"
_CLAUSES = frozenset(
    ("SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "WINDOW", "OVER", "ON", "USING", "VALUES", "SET")
)
_COMPARED = frozenset(("=", "<", ">", "<=", ">=", "<>", "!=", "(", ",", "IN", "BETWEEN", "AND", "NOT"))
_CONDITIONS = frozenset(
    ("=", "<", ">", "<=", ">=", "<>", "!=", "IS", "IN", "LIKE", "AND", "OR", "NOT", "BETWEEN", "@@")
)
_COMPARISONS = frozenset(("=", "<", ">", "<=", ">=", "<>", "!="))


def referenced(statement: list[Token]) -> list[tuple[str | None, str]]:
    """The tables after FROM, JOIN and INTO, with their database if they name one; without common table expressions."""
    found: list[tuple[str | None, str]] = []
    local = {
        token.value
        for token, as_, opening in zip(statement, statement[1:], statement[2:], strict=False)
        if token.is_name and as_.upper == "AS" and opening.text == "("
    }
    for at, token in enumerate(statement):
        if token.upper in ("FROM", "JOIN", "INTO") and at and statement[at - 1].upper != "DISTINCT":
            found.extend(_sources(statement, at + 1, listed=token.upper == "FROM"))
        elif token.upper in ("FROM", "INTO") and not at:
            found.extend(_sources(statement, at + 1, listed=False))
    return [source for source in dict.fromkeys(found) if source[0] is not None or source[1] not in local]


def mentioned(statement: list[Token]) -> list[str]:
    """Every table a statement is about, definitions and ADMIN calls included."""
    names = [name for _, name in referenced(statement)]
    for at, token in enumerate(statement):
        if token.upper == "TABLE":
            cursor = Cursor(statement[at + 1 :])
            cursor.take("IF", "NOT", "EXISTS")
            cursor.take("IF", "EXISTS")
            names.append(cursor.qualified()[1])
    if statement[0].upper == "ADMIN":
        names.extend(token.value for token in statement if token.kind == "string")
    return list(dict.fromkeys(names))


def _sources(statement: list[Token], at: int, *, listed: bool) -> list[tuple[str | None, str]]:
    """The table at this place and, in a FROM list, those after its commas."""
    cursor = Cursor(statement[at:])
    found: list[tuple[str | None, str]] = []
    while cursor.peek().is_name:
        found.append(cursor.qualified())
        cursor.take("AS")
        if cursor.peek().is_name and cursor.peek().upper not in _CLAUSES and cursor.peek(1).text == ",":
            cursor.next()
        if not (listed and cursor.take(",")):
            break
    return found


def boolean_items(statement: list[Token]) -> dict[int, bool]:
    """Which items of the outermost select list are conditions; nothing where a * hides how many there are."""
    found, item, depth, case = {0: False}, 0, 0, 0
    start = next((at for at, token in enumerate(statement) if token.upper == "SELECT"), 0)
    for token in statement[start + 1 :]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        case += {"CASE": 1, "END": -1}.get(token.upper, 0)
        if depth or case:
            continue
        if token.text == "*":
            return {}
        if token.upper == "FROM":
            break
        if token.text == ",":
            item += 1
            found[item] = False
        found[item] |= token.upper in _CONDITIONS
    return found


class Translation:
    """One statement on its way to sqlite. `columns` are those of every table it reads, by name."""

    def __init__(self, statement: list[Token], database: str, tables: Mapping[str, Table]) -> None:
        self.statement = statement
        self.database = database
        self.tables = tables
        self.columns: dict[str, DataType] = {
            column.name: column.type for table in tables.values() for column in table.columns
        }
        self.out: list[str] = []
        self.clauses = [""]
        self.casts: list[bool] = []
        self.compared: Token | None = None
        self.at = 0

    def sql(self) -> str:
        """The statement as sqlite reads it."""
        while self.at < len(self.statement):
            token = self.statement[self.at]
            self.remember(token)
            handle = _HANDLERS.get(token.upper) or _KINDS.get(token.kind)
            if handle is None:
                self.emit(token.text)
            else:
                handle(self, token)
        return " ".join(self.out)

    def remember(self, token: Token) -> None:
        """Keeps the column whose comparison, list or range we are in."""
        if token.is_name and token.value in self.columns:
            self.compared = token
        elif token.kind not in ("string", "number") and token.upper not in _COMPARED:
            self.compared = None

    def emit(self, text: str, consumed: int = 1) -> None:
        self.out.append(text)
        self.at += consumed

    def peek(self, ahead: int = 1) -> Token:
        at = self.at + ahead
        return self.statement[at] if 0 <= at < len(self.statement) else END

    # names

    def name(self, token: Token) -> None:
        if self.peek().text == "." and self.peek(2).is_name and token.value in (self.database, INFORMATION_SCHEMA):
            return self.qualified_table(token.value)
        if token.kind == "word" and self.peek().text == "(":
            return self.emit(token.text.lower())
        name = token.value if token.kind == "quoted" else token.text.lower()
        if token.kind == "word" and name not in self.columns:
            if token.upper in _CLAUSES:
                self.clauses[-1] = token.upper
            return self.emit(token.text)
        quoted = "`" + name.replace("`", "``") + "`"
        if self.is_column(name) and self.columns[name].name == "Decimal" and not self.bare():
            return self.emit_decimal(quoted)
        return self.emit(quoted)

    def qualified_table(self, database: str) -> None:
        table = self.peek(2).value
        self.emit(f"`{INFORMATION_SCHEMA}_{table}`" if database == INFORMATION_SCHEMA else f"`{table}`", 3)

    def is_column(self, name: str) -> bool:
        return name in self.columns and self.peek().text not in (".", "(") and self.peek(-1).upper != "AS"

    def bare(self) -> bool:
        """Whether the column here is an item of a select list, as it is."""
        before = -3 if self.peek(-1).text == "." else -1
        starts = self.peek(before).upper in ("SELECT", "DISTINCT", ",")
        ends = self.peek().upper in (",", "FROM", "AS", ")") or self.peek() is END
        return self.clauses[-1] == "SELECT" and starts and ends

    def emit_decimal(self, quoted: str) -> None:
        """Decimals rest as text; to compare and to count they have to be numbers."""
        if self.out[-1:] == ["."]:
            owner = self.out[-2]
            del self.out[-2:]
            quoted = f"{owner}.{quoted}"
        self.emit(f"CAST({quoted} AS REAL)")

    # literals

    def string(self, token: Token) -> None:
        unit = self.compared_unit()
        ticks = None if unit is None else literals.timestamp(token.value, unit)
        if unit is not None and ticks is None and self.columns_beside():
            raise ServerError(StatusCode.PLAN_QUERY, f"Cannot read {token.text} as a timestamp")
        self.emit(token.text if ticks is None else str(ticks))

    def columns_beside(self) -> bool:
        return self.peek(-1).text in _COMPARISONS

    def compared_unit(self) -> int | None:
        """Ticks per second of the timestamp column that this literal is compared with."""
        if self.peek(1).text in _COMPARISONS:
            return self.unit_of(self.peek(4) if self.peek(3).text == "." else self.peek(2))
        return None if self.compared is None else self.unit_of(self.compared)

    def unit_of(self, token: Token) -> int | None:
        kind = self.columns.get(token.value) if token.is_name else None
        return kind.unit if kind is not None else None

    def interval(self, token: Token) -> None:
        if self.peek().kind != "string":
            return self.name(token)
        span = literals.interval(self.peek().value)
        if span is None:
            raise syntax(f"Invalid interval: {self.peek().text}")
        return self.emit(str(span), 2)

    def timestamp(self, token: Token) -> None:
        if self.peek().kind != "string":
            return self.name(token)
        ticks = literals.timestamp(self.peek().value, 1000)
        if ticks is None:
            raise syntax(f"Invalid timestamp: {self.peek().text}")
        return self.emit(str(ticks), 2)

    # brackets, casts, operators

    def open(self, token: Token) -> None:
        opener = self.peek(-1).upper
        self.casts.append(opener in ("CAST", "TRY_CAST"))
        if self.casts[-1]:
            self.out[-1] = "greptime_cast"
        self.clauses.append("")
        self.emit("(")

    def close(self, token: Token) -> None:
        if not self.casts:
            raise syntax("Unbalanced bracket")
        self.casts.pop()
        self.clauses.pop()
        self.emit(")")

    def alias(self, token: Token) -> None:
        if not (self.casts and self.casts[-1]):
            return self.emit("AS")
        cursor = Cursor(self.statement[self.at + 1 :])
        kind = ddl.data_type(cursor)
        return self.emit(f", '{kind.declared}'", len(self.statement) - self.at - len(cursor.rest()))

    def postfix_cast(self, token: Token) -> None:
        operand = self.pop_operand()
        cursor = Cursor(self.statement[self.at + 1 :])
        kind = ddl.data_type(cursor)
        consumed = len(self.statement) - self.at - len(cursor.rest())
        self.emit(f"greptime_cast({operand}, '{kind.declared}')", consumed)

    def term(self, token: Token) -> None:
        self.emit(f"matches_term({self.pop_operand()}, {self.peek().text})", 2)

    def pop_operand(self) -> str:
        """Takes the last primary expression back: a bracket with its function, or a name with its table."""
        start = len(self.out) - 1
        if self.out[start] == ")":
            depth = 0
            while True:
                depth += {")": 1, "(": -1}.get(self.out[start], 0)
                if depth == 0:
                    break
                start -= 1
            if start and self.out[start - 1].isidentifier() and self.out[start - 1].upper() not in _CLAUSES:
                start -= 1
        elif start >= 2 and self.out[start - 1] == ".":
            start -= 2
        operand = " ".join(self.out[start:])
        del self.out[start:]
        return operand


_HANDLERS: dict[str, Callable[[Translation, Token], None]] = {
    "(": Translation.open,
    ")": Translation.close,
    "AS": Translation.alias,
    "::": Translation.postfix_cast,
    "@@": Translation.term,
    "INTERVAL": Translation.interval,
    "TIMESTAMP": Translation.timestamp,
}
_KINDS: dict[str, Callable[[Translation, Token], None]] = {
    "word": Translation.name,
    "quoted": Translation.name,
    "string": Translation.string,
}
