"""YAML text to located nodes: duplicate keys and foreign tags are problems, merge keys (`<<`) are resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import yaml

from openfuse_collector.config.nodes import Node, Position, Problem

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
MOST_DEPTH = 100
MOST_NODES = 100_000
"""Far beyond any configuration. A few lines of aliases to lists of aliases can stand for billions of values."""


def parse(text: str, source: str, problems: list[Problem], at: Position | None = None) -> Node | None:
    """The tree of one YAML document, None when it has no tree.

    Every node is at its place in `source`, or at `at` where the text has no place of its own (an environment variable).
    """
    try:
        too_deep = _too_deep(text)
        root = None if too_deep else yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problems.append(Problem(at or _error_position(error, source), (), f"not valid YAML: {_first_words(error)}"))
        return None
    if too_deep:
        place = at or Position(source, too_deep.line + 1, too_deep.column + 1)
        problems.append(Problem(place, (), f"nested more than {MOST_DEPTH} levels deep"))
        return None
    return _Tree(source, problems, at).node(root) if root is not None else Node(None, at or Position(source, 1, 1))


def parse_value(text: str, at: Position) -> Node:
    """The value of a variable or a file put where `at` is. What is no YAML is text, and the original text stays known.

    A text that YAML would read as nothing (`# no comment but a password`) is text as well.
    """
    problems: list[Problem] = []
    node = parse(text, "", problems, at)
    if node is None or problems or (node.value is None and text.strip() not in ("", "~", "null", "Null", "NULL")):
        return Node(text, at, text)
    return Node(node.value, at, None if node.value is None and text else text)


def _too_deep(text: str) -> Any:
    """The mark of the first value nested too deeply, None where there is none: composing it would exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                return event.start_mark
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


class _Tree:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, source: str, problems: list[Problem], at: Position | None) -> None:
        self._source = source
        self._problems = problems
        self._fixed = at
        self._open: set[int] = set()
        self._nodes = 0

    def node(self, raw: yaml.Node) -> Node:
        if id(raw) in self._open:
            self._problem(raw, "an alias refers to the map or list it stands in")
            return Node(None, self._at(raw))
        self._nodes += 1
        if self._nodes > MOST_NODES or len(self._open) > MOST_DEPTH:
            if self._nodes <= MOST_NODES + 1:
                self._problem(raw, f"aliases make this more than {MOST_NODES:,} values, or {MOST_DEPTH} levels deep")
            self._nodes = MOST_NODES + 1
            return Node(None, self._at(raw))
        self._open.add(id(raw))
        try:
            return self._convert(raw)
        finally:
            self._open.discard(id(raw))

    def _convert(self, raw: yaml.Node) -> Node:
        if isinstance(raw, yaml.MappingNode):
            return Node(self._entries(raw), self._at(raw))
        if isinstance(raw, yaml.SequenceNode):
            return Node(tuple(self.node(item) for item in raw.value), self._at(raw))
        construct = _SCALARS.get(raw.tag.removeprefix(_TAG))
        if construct is None:
            self._problem(raw, f"the YAML tag {raw.tag} is not supported")
            return Node(None, self._at(raw))
        value = construct(raw.value)
        return Node(value, self._at(raw), None if value is None else raw.value)

    def _entries(self, raw: yaml.MappingNode) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in raw.value:
            if key.tag == _TAG + "merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, "a key must be text")
            elif key.value in entries:
                first = entries[key.value].at
                self._problem(key, f'the key "{key.value}" is already defined in line {first.line}')
            else:
                entries[key.value] = self.node(value).moved(self._at(key))
        for inherited in self._merged(raw):
            entries = {**inherited, **entries}
        return entries

    def _merged(self, raw: yaml.MappingNode) -> Iterator[dict[str, Node]]:
        """The maps behind `<<`; of two, the one named first wins (YAML merge key draft)."""
        for key, value in raw.value:
            if key.tag != _TAG + "merge":
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                node = self.node(source)
                if isinstance(node.value, dict):
                    yield node.value
                else:
                    self._problem(key, "<< takes a map or a list of maps")

    def _at(self, raw: yaml.Node) -> Position:
        mark = raw.start_mark
        return self._fixed or Position(self._source, mark.line + 1, mark.column + 1)

    def _problem(self, raw: yaml.Node, message: str) -> None:
        self._problems.append(Problem(self._at(raw), (), message))


def _bool(text: str) -> bool | str:
    """YAML 1.2 knows true and false; the `yes` and `on` of YAML 1.1 stay text (bool fields take them still)."""
    return {"true": True, "false": False}.get(text.lower(), text)


def _int(text: str) -> int | str:
    """Decimal, 0x, 0b and, as the Collector has it, octal with a leading 0. `12:30` is text, not base 60."""
    digits = text.replace("_", "")
    if ":" in digits:
        return text
    octal = digits.lstrip("+-")[:1] == "0" and digits.lstrip("+-").isdigit()
    try:
        return int(digits, 8 if octal else 0)
    except ValueError:  # more digits than Python reads
        return text


def _float(text: str) -> float | str:
    plain = text.replace("_", "").lower()
    if ":" in plain:
        return text
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": str,
    "timestamp": str,
    "value": str,
}
"""YAML tag -> value of its text. Dates stay text: no setting is one."""


def _error_position(error: yaml.YAMLError, source: str) -> Position:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return Position(source, mark.line + 1, mark.column + 1) if mark else Position(source)


def _first_words(error: yaml.YAMLError) -> str:
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    return ", ".join(str(part) for part in parts if part) or str(error).splitlines()[0]
