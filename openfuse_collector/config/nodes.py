"""The located tree every configuration source becomes: plain values that know the line they were written on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Path: TypeAlias = tuple[str, ...]


class Position(NamedTuple):
    """Where something was written. Lines and columns count from 1; 0 means the source has no lines worth naming."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a configuration."""

    value: bool | int | float | str | dict[str, Node] | tuple[Node, ...] | None
    at: Position
    """Of the key for a value in a map, of the value itself in a list."""
    text: str | None = None
    """As it was written, for fields that hold text (`0123` is no number there). None for nothing, and for maps and lists
    written out in a file."""

    def moved(self, at: Position) -> Node:
        """The same value, said to be written at `at`."""
        return Node(self.value, at, self.text)

    def plain(self) -> Any:
        """The value without positions: None, scalars, dicts and lists."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return [child.plain() for child in self.value]
        return self.value

    @property
    def shape(self) -> str:
        """What a user would call this value: for sentences like `expected a map, got a list`."""
        if isinstance(self.value, bool):
            return f'"{str(self.value).lower()}"'
        if isinstance(self.value, str):
            return f'the text "{self.value}"'
        return {dict: "a map", tuple: "a list", type(None): "nothing"}.get(type(self.value), f"the number {self.value}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration. Sorts by source and line."""

    at: Position
    path: Path
    message: str

    def __str__(self) -> str:
        """One printable line: what a file holds must neither drive a terminal nor look like a second problem."""
        line = ": ".join(part for part in (str(self.at), "::".join(self.path), self.message) if part)
        return printable(line)


def printable(text: str) -> str:
    """The text with everything escaped that could start a new line or drive a terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def locate(root: Node, path: Sequence[str]) -> Position:
    """Where `path` is written, or the deepest part of it that is. Items of a list are named by their text."""
    node = root
    for name in path:
        children = node.value
        if isinstance(children, tuple):
            found = next((child for child in children if child.text is not None and child.text.strip() == name), None)
        else:
            found = children.get(name) if isinstance(children, dict) else None
        if found is None:
            break
        node = found
    return node.at


def nearest(word: str, candidates: Iterable[str]) -> str:
    """`, did you mean "x"?` for the candidate closest to `word`, else the empty string."""
    from difflib import get_close_matches  # only needed when something is wrong

    by_folded = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(word.lower(), by_folded, n=1)
    return f', did you mean "{by_folded[close[0]]}"?' if close else ""
