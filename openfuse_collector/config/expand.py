"""References in values: `${env:NAME:-default}`, `${NAME}`, `${file:path}`, `${yaml:text}`; `$$` is a literal `$`.

A reference that is the whole value takes the type its text has as YAML and may be a map or a list; inside a longer text
it is text. What a reference yields is expanded again. What variables and files hold never shows in messages, which name the reference:
the nodes that came from one know it (`Node.reference`), and what is wrong inside of a value is said of the reference that led there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import NamedTuple

from openfuse_collector.config.nodes import Node, Path, Position, Problem
from openfuse_collector.config.parse import parse, parse_value

MAX_DEPTH = 50
"""How deep references may lead to each other."""
MAX_REFERENCES = 10_000
"""How many references one configuration may resolve; a few variables that multiply each other would never end."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BARE = re.compile(r"\w*(:-.*)?", re.DOTALL)


class Reference(NamedTuple):
    """The inside of `${…}`."""

    text: str


class _Place(NamedTuple):
    """Where the reference being resolved stands, and the references that led there."""

    at: Position
    path: Path
    active: tuple[str, ...] = ()
    written: str = ""
    """The reference being resolved, as it stands in the configuration."""
    hidden: bool = False
    """Inside of what `written` yields, which messages must not show."""
    named: bool = True
    """Whether the names of maps may be shown: those of a variable have no lines, and are part of its value."""

    def below(self, key: str, child: Node) -> _Place:
        return self._replace(at=child.at, path=(*self.path, key)) if self.named else self

    def reference(self, text: str) -> _Place:
        return self if self.hidden else self._replace(written=f"${{{text}}}")

    def shown(self, text: str) -> str:
        return self.written if self.hidden else text

    def said(self, name: str) -> str:
        """A name behind "the file" and the like."""
        return f"named in {self.written}" if self.hidden else name

    def inside(self, reference: str) -> _Place:
        return self._replace(active=(*self.active, reference))


def expand(root: Node, problems: list[Problem], warnings: list[Problem]) -> Node:
    """The tree with every reference replaced. A variable that is not set and has no default is a warning and null."""
    return _Expansion(problems, warnings).node(root, _Place(root.at, ()))


def scan(text: str) -> Iterator[str | Reference]:
    """The pieces of a text, `$$` already unescaped. Raises ValueError for a `${` that is never closed."""
    start = 0
    while (dollar := text.find("$", start)) >= 0:
        following = text[dollar + 1 : dollar + 2]
        yield text[start:dollar]
        if following == "{":
            end = _closing(text, dollar + 1)
            yield Reference(text[dollar + 2 : end])
            start = end + 1
        else:
            yield "$"
            start = dollar + (2 if following == "$" else 1)
    yield text[start:]


class _Expansion:
    """One pass over a tree: what went wrong and how much was resolved."""

    def __init__(self, problems: list[Problem], warnings: list[Problem]) -> None:
        self._problems = problems
        self._warnings = warnings
        self._resolved = 0

    def node(self, node: Node, place: _Place) -> Node:
        if node.reference is not None and not place.hidden:
            place = place._replace(written=node.reference, hidden=True)
        if isinstance(node.value, str):
            return self._string(node, place) if "$" in node.value else node
        text = self._text(node.text, place) if node.text and "$" in node.text else node.text
        if isinstance(node.value, dict):
            children = {key: self.node(child, place.below(key, child)) for key, child in node.value.items()}
            return Node(children, node.at, text, node.reference)
        if isinstance(node.value, tuple):
            items = (self.node(child, place.below(str(index), child)) for index, child in enumerate(node.value))
            return Node(tuple(items), node.at, text, node.reference)
        return Node(node.value, node.at, text, node.reference)

    def _string(self, node: Node, place: _Place) -> Node:
        """A text with references. Its original writing (`node.text`) differs from its value when YAML folded it."""
        pieces = self._pieces(str(node.value), place)
        references = [piece for piece in pieces if isinstance(piece, Reference)]
        if len(references) == 1 and not any(piece for piece in pieces if isinstance(piece, str)):
            return self._resolve(references[0], place).moved(node.at)
        text = self._join(pieces, place)
        written = text if node.text in (None, node.value) else self._text(str(node.text), place)
        return Node(text, node.at, written, place.shown(str(node.value)) if references else node.reference)

    def _text(self, text: str, place: _Place) -> str:
        return self._join(self._pieces(text, place), place)

    def _pieces(self, text: str, place: _Place) -> list[str | Reference]:
        try:
            return list(scan(text))
        except ValueError as error:
            self._problem(place, str(error))
            return [text]

    def _join(self, pieces: list[str | Reference], place: _Place) -> str:
        return "".join(piece if isinstance(piece, str) else self._resolve(piece, place).text or "" for piece in pieces)

    def _resolve(self, reference: Reference, place: _Place) -> Node:
        """What a reference stands for, itself expanded; null after a problem."""
        nothing, place = Node(None, place.at), place.reference(reference.text)
        scheme, rest = _split_scheme(reference.text)
        fetch = _SCHEMES.get(scheme)
        self._resolved += 1
        if fetch is None:
            valid = ", ".join(_SCHEMES)
            shown = place.shown(f"${{{scheme}:…}}")
            self._problem(place, f'unknown scheme in "{shown}" (valid: {valid}); for a literal $ write $$')
        elif self._resolved > MAX_REFERENCES:
            if self._resolved == MAX_REFERENCES + 1:
                self._problem(place, f"more than {MAX_REFERENCES} references were resolved up to here")
        elif len(place.active) >= MAX_DEPTH:
            self._problem(place, f"references lead to each other more than {MAX_DEPTH} deep")
        else:
            return fetch(self, rest, place) or nothing
        return nothing

    def _env(self, rest: str, place: _Place) -> Node | None:
        raw_name, default = _split_default(rest)
        name = self._text(raw_name, place.inside(rest))
        if not _NAME.fullmatch(name):
            self._problem(place, f'"{place.shown(raw_name)}" is not the name of an environment variable')
            return None
        if name in os.environ:
            return self._foreign(f"env:{name}", parse_value(os.environ[name], place.at), place, named=False)
        if default is not None:
            # its own reference: a default may name the same variable again
            return self._again(f"env:{rest}", parse_value(default, place.at), place)
        remedy = "" if place.hidden else f", or write ${{env:{raw_name}:-default}}"
        message = (
            f"the environment variable {place.said(raw_name)} is not set and the reference has no default: "
            f"nothing stands in its place; set it{remedy}"
        )
        self._warnings.append(Problem(place.at, place.path, message))
        return None

    def _file(self, rest: str, place: _Place) -> Node | None:
        name, said = self._text(rest, place.inside(rest)), place.said(rest)
        try:
            text = FilePath(name).read_bytes().decode("utf-8-sig").rstrip("\r\n")
        except OSError as error:
            self._problem(place, f"the file {said} cannot be read: {error.strerror or type(error).__name__}")
            return None
        except UnicodeDecodeError as error:
            self._problem(place, f"the file {said} is not UTF-8 text (byte {error.start})")
            return None
        node = parse_value(text, place.at)
        piece = isinstance(node.value, dict | tuple)  # of configuration: its lines are worth naming
        if piece:
            node = parse(text, place.shown(rest), self._problems) or node
        return self._foreign(f"file:{name}", node, place, named=piece)

    def _yaml(self, rest: str, place: _Place) -> Node | None:
        return self._again(f"yaml:{rest}", parse_value(rest, place.at), place)

    def _foreign(self, uri: str, node: Node, place: _Place, *, named: bool) -> Node | None:
        """What a variable or a file holds; `named` says whether names in it may be shown."""
        expanded = self._again(uri, node, place._replace(hidden=True, named=named))
        return expanded and expanded.referred(place.written, names=not named)

    def _again(self, uri: str, node: Node, place: _Place) -> Node | None:
        if uri in place.active:
            self._problem(place, f"{place.written} refers to itself")
            return None
        return self.node(node, place.inside(uri))

    def _problem(self, place: _Place, message: str) -> None:
        self._problems.append(Problem(place.at, place.path, message))


_SCHEMES: dict[str, Callable[[_Expansion, str, _Place], Node | None]] = {
    "env": _Expansion._env,
    "file": _Expansion._file,
    "yaml": _Expansion._yaml,
}


def _split_scheme(text: str) -> tuple[str, str]:
    """`env:HOME` -> (env, HOME); without a scheme it is the environment, as in the OpenTelemetry Collector (confmap)."""
    scheme, separator, rest = text.partition(":")
    if separator and scheme in _SCHEMES:
        return scheme, rest
    bare = not separator or "$" in scheme or _BARE.fullmatch(text) is not None
    return ("env", text) if bare else (scheme, rest)


def _split_default(text: str) -> tuple[str, str | None]:
    """`NAME:-default` -> both halves; a `:-` inside a nested reference belongs to that."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0 and text.startswith(":-", index):
            return text[:index], text[index + 2 :]
    return text, None


def _closing(text: str, opening: int) -> int:
    """Index of the brace that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise ValueError("a ${ is never closed; for a literal $ write $$")
