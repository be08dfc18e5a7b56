"""SQL text into tokens, statements, and a cursor for parsers to walk over them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.greptimedb_double.status import syntax

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
      |(?P<string>'(?:[^']|'')*')
      |(?P<quoted>`(?:[^`]|``)*`|"(?:[^"]|"")*")
      |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      |(?P<word>[A-Za-z_][A-Za-z0-9_$]*)
      |(?P<symbol>::|<=|>=|<>|!=|\|\||@@|.)""",
    re.VERBOSE | re.DOTALL,
)

# Words that a table definition takes for keywords: Openfuse's migrations had to quote them as column names.
MUST_BE_QUOTED = frozenset(["id", "name", "value", "key", "type", "level", "timestamp", "source", "comment"])


class Token(NamedTuple):
    """`kind` is string, quoted, number, word or symbol; `text` as written; `value` unquoted, `upper` for keywords only."""

    kind: str
    text: str

    @property
    def value(self) -> str:
        if self.kind in ("string", "quoted"):
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


END = Token("end", "")


def tokens(sql: str) -> list[Token]:
    """Tokens without blanks and comments."""
    found = ((match.lastgroup or "", match.group()) for match in _TOKEN.finditer(sql))
    return [Token(kind, text) for kind, text in found if kind != "blank"]


def statements(sql: str) -> Iterator[list[Token]]:
    """The statements of a text, split at semicolons; empty ones are left out."""
    statement: list[Token] = []
    for token in tokens(sql):
        if token.text == ";":
            if statement:
                yield statement
            statement = []
        else:
            statement.append(token)
    if statement:
        yield statement


class Cursor:
    """A position in a statement."""

    def __init__(self, statement: list[Token]) -> None:
        self._tokens = statement
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else END

    def next(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def rest(self) -> list[Token]:
        return self._tokens[self._at :]

    def take(self, *words: str) -> bool:
        """Steps over these keywords or symbols if they all come next."""
        if any(self.peek(ahead).upper != word for ahead, word in enumerate(words)):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        if not self.take(*words):
            raise syntax(f"Expected {' '.join(words)}, found: {self.peek().text or 'end of statement'}")

    def name(self, *, quoted_if_reserved: bool = False) -> str:
        """An identifier. Unquoted ones fold to lower case; some words are names only when quoted."""
        token = self.next()
        if not token.is_name:
            raise syntax(f"Expected an identifier, found: {token.text or 'end of statement'}")
        if token.kind == "quoted":
            return token.value
        if quoted_if_reserved and token.text.lower() in MUST_BE_QUOTED:
            raise syntax(f"Cannot use keyword '{token.text}' as column name: quote it")
        return token.text.lower()

    def qualified(self) -> tuple[str | None, str]:
        """`[database.]name`"""
        first = self.name()
        return (first, self.name()) if self.take(".") else (None, first)

    def value(self) -> str:
        """A literal or word as an option value."""
        token = self.next()
        if token is END:
            raise syntax("Expected a value, found: end of statement")
        return token.value

    def done(self) -> None:
        if self.peek() is not END:
            raise syntax(f"Expected end of statement, found: {self.peek().text}")
