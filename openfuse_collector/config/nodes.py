"""The located tree every configuration source becomes: plain values that know the line they were written on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    reference: str | None = None
    """What the configuration says where the value, or a part of it, comes from a variable or a file: `${env:NAME}`. Messages show it
    instead of the value, which may be a secret. In a map it stands for the names in it too."""

    def moved(self, at: Position) -> Node:
        """The same value, said to be written at `at`."""
        return Node(self.value, at, self.text, self.reference)

    def referred(self, reference: str, *, names: bool) -> Node:
        """The same value, all in it said to come from `reference`; `names` says whether the names in maps are hidden too."""
        value, at, text = self.value, self.at, self.text
        own = reference if names or not isinstance(value, dict | tuple) else None
        if isinstance(value, dict):
            return Node({key: child.referred(reference, names=names) for key, child in value.items()}, at, text, own)
        if isinstance(value, tuple):
            return Node(tuple(child.referred(reference, names=names) for child in value), at, text, own)
        return Node(value, at, text, own)

    def called(self, name: str) -> str:
        """What messages call a name that is written in this map."""
        return name if self.reference is None else self.reference

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
            return f'"{self.reference or str(self.value).lower()}"'
        if isinstance(self.value, str):
            return f'the text "{self.reference or self.value}"'
        number = f"the number {self.reference or self.value}"
        return {dict: "a map", tuple: "a list", type(None): "nothing"}.get(type(self.value), number)


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
    return deepest(root, path)[0].at


def deepest(root: Node, path: Sequence[str]) -> tuple[Node, Path]:
    """The deepest node of `path` there is, and what messages call the whole path."""
    node, called = root, []
    missing = False
    for name in path:
        called.append(node.called(name))
        found = None if missing else _child(node, name)
        node, missing = found or node, found is None
    return node, tuple(called)


def _child(node: Node, name: str) -> Node | None:
    children = node.value
    if isinstance(children, tuple):
        return next((child for child in children if child.text is not None and child.text.strip() == name), None)
    return children.get(name) if isinstance(children, dict) else None


def unquoted(message: str, node: Node) -> str:
    """A message about what was made of a tree, with the reference in place of every text it quotes that came from one."""
    if '"' not in message:
        return message
    hidden = {spelling: reference for text, reference in _referred(node) for spelling in _spellings(text) if spelling}
    for text in sorted(hidden, key=len, reverse=True):
        message = message.replace(f'"{text}"', f'"{hidden[text]}"')
    return message


def _referred(node: Node) -> Iterator[tuple[str, str]]:
    """Every text in a tree that came from a reference, and that reference."""
    if node.reference is not None and node.text is not None:
        yield node.text, node.reference
    if isinstance(node.value, dict):
        yield from ((name, node.reference) for name in node.value if node.reference is not None)
    for child in _children(node):
        yield from _referred(child)


def _children(node: Node) -> Iterable[Node]:
    if isinstance(node.value, dict):
        return node.value.values()
    return node.value if isinstance(node.value, tuple) else ()


def _spellings(text: str) -> tuple[str, ...]:
    """A text as messages may quote it: trimmed, as the id it stands for, and the type in that."""
    kind, slash, name = (part.strip() for part in text.partition("/"))
    return text.strip(), kind + slash + name, kind


def nearest(word: str, candidates: Iterable[str]) -> str:
    """`, did you mean "x"?` for the candidate closest to `word`, else the empty string."""
    from difflib import get_close_matches  # only needed when something is wrong

    by_folded = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(word.lower(), by_folded, n=1)
    return f', did you mean "{by_folded[close[0]]}"?' if close else ""
