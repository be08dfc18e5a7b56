"""Located nodes to frozen dataclasses: fills fields by their type hints, collects every mistake, checks each level.

A field named after a Python keyword ends in `_` (`from_` is the key `from`). An optional section (`X | None` with a
dataclass X) is on as soon as its key is written, even with nothing behind it. For other fields null means the default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from openfuse_collector.config.nodes import Node, Path, Problem, locate, nearest, unquoted
from openfuse_collector.config.scalars import SCALARS, TEXTUAL, read_text

T = TypeVar("T")

_FAILED: Any = object()
"""Stands for a value that could not be read; the problem is on the list."""

_CONTAINERS: dict[Any, Any] = {
    dict: dict,
    Mapping: dict,
    tuple: tuple,
    Sequence: tuple,
    list: list,
    frozenset: frozenset,
}


class Key(NamedTuple):
    """One setting of a config dataclass."""

    field: str
    hint: Any
    required: bool
    default: Any = MISSING


def unmarshal(node: Node, cls: type[T], path: Path = ()) -> tuple[T | None, list[Problem]]:
    """The value a node describes, and every mistake in it, each once.

    Where there are mistakes, fields that could not be read hold their defaults; without a default there is no value.
    """
    reading = _Reading()
    value = reading.value(node, cls, path)
    return (None if value is _FAILED else value), reading.problems


@cache
def keys(cls: Any) -> dict[str, Key]:
    """Key in YAML -> field, in the order of the dataclass."""
    hints = get_type_hints(cls)
    found = (field for field in fields(cls) if field.init)
    return {
        field.name.removesuffix("_"): Key(
            field.name,
            hints[field.name],
            field.default is MISSING and field.default_factory is MISSING,
            _default_of(field),
        )
        for field in found
    }


def _default_of(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def section_of(hint: Any) -> type[Any] | None:
    """The dataclass in `X` or `X | None`, None when the hint is no section."""
    return next((member for member in _members(hint) if isinstance(member, type) and is_dataclass(member)), None)


class _Reading:
    """One walk over a tree; keeps the problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def value(self, node: Node, hint: Any, path: Path) -> Any:
        if node.value is None and (node.text is None or not TEXTUAL.intersection(_members(hint))):
            return self._nothing(node, hint, path)
        if hint is Any:
            return node.plain()
        if isinstance(hint, type) and is_dataclass(hint):
            return self._dataclass(node, hint, path)
        origin = get_origin(hint)
        if origin in (Union, UnionType):
            return self._union(node, hint, path)
        if origin in _CONTAINERS:
            return self._container(node, hint, path)
        return self._scalar(node, hint, path)

    def _nothing(self, node: Node, hint: Any, path: Path) -> Any:
        """A null where a value is wanted: sections are on with their defaults, containers are empty."""
        section = section_of(hint)
        if section is not None:
            return self._dataclass(Node({}, node.at), section, path)
        if hint is Any or NoneType in _members(hint):
            return None
        container = _CONTAINERS.get(get_origin(hint))
        return container() if container else self._fail(node, path, "must have a value")

    def _dataclass(self, node: Node, cls: Any, path: Path, defaults: Any = None) -> Any:
        """A section. Keys that are not written keep their value in `defaults`, without it the defaults of the class."""
        if not isinstance(node.value, dict):
            return self._fail(node, path, f"expected a map, got {node.shape}")
        known, given = keys(cls), node.value
        for name in (name for name in given if name not in known):
            self._fail(given[name], (*path, node.called(name)), f"unknown key{_instead(name, known)}")
        written = [(name, key) for name, key in known.items() if name in given]
        read = {key.field: self._setting(given[name], key, (*path, name), defaults) for name, key in written}
        filled = {field: value for field, value in read.items() if value is not _FAILED}
        required = [] if defaults is not None else [(name, key.field) for name, key in known.items() if key.required]
        missing = [name for name, field in required if field not in read]
        for name in missing:
            self._fail(node, (*path, name), "must be set")
        if any(field not in filled for _, field in required):
            return _FAILED
        said = {field: value for field, value in filled.items() if value is not _DEFAULT}
        value = cls(**said) if defaults is None else replace(defaults, **said)
        if len(filled) == len(read):
            self._check(value, node, path)
        unset = (key for name, key in known.items() if given.get(name) is None)
        for key in unset:
            self._check_defaults(getattr(value, key.field), node, (*path, key.field.removesuffix("_")))
        return value

    def _setting(self, node: Node, key: Key, path: Path, defaults: Any) -> Any:
        """`defaults` is what the section has where nothing is written; what its sections have may differ from their class."""
        nothing = node.value is None and (node.text is None or not TEXTUAL.intersection(_members(key.hint)))
        takes_nothing = section_of(key.hint) is not None or NoneType in _members(key.hint) or key.hint is Any
        if nothing and not takes_nothing and not key.required:
            return _DEFAULT
        default = key.default if defaults is None else getattr(defaults, key.field)
        if is_dataclass(default) and {type(default), NoneType}.issuperset(_members(key.hint)):
            return self._dataclass(Node({}, node.at) if nothing else node, type(default), path, default)
        return self.value(node, key.hint, path)

    def _check(self, value: Any, node: Node, path: Path) -> None:
        """Runs `validate`. A sentence that begins with a key is placed on the line of that key, and left out where something in that key
        could not be read: it may be about what remained."""
        unread = {problem.path[: len(path) + 1] for problem in self.problems}
        for message in getattr(value, "validate", _no_problems)():
            key = message.split(" ", 1)[0]
            if (*path, key) not in unread:
                self.problems.append(Problem(locate(node, (key,)), path, unquoted(message, node)))

    def _check_defaults(self, value: Any, node: Node, path: Path) -> None:
        """A section nobody wrote must be usable too."""
        if isinstance(value, type) or not is_dataclass(value):
            return
        self._check(value, Node({}, node.at), path)
        for field in fields(value):
            self._check_defaults(getattr(value, field.name), node, (*path, field.name.removesuffix("_")))

    def _container(self, node: Node, hint: Any, path: Path) -> Any:
        make, arguments = _CONTAINERS[get_origin(hint)], get_args(hint)
        if make is dict:
            return self._mapping(node, arguments[0], arguments[1], path)
        if not isinstance(node.value, tuple):
            remedy = f": write [{node.reference or node.text}]" if node.text else ""
            return self._fail(node, path, f"expected a list, got {node.shape}{remedy}")
        items = (self.value(item, arguments[0], (*path, str(index))) for index, item in enumerate(node.value))
        return make(item for item in items if item is not _FAILED)

    def _mapping(self, node: Node, key_hint: Any, hint: Any, path: Path) -> Any:
        if not isinstance(node.value, dict):
            return self._fail(node, path, f"expected a map, got {node.shape}")
        result: dict[Any, Any] = {}
        for name, child in node.value.items():
            below = (*path, node.called(name))
            key = self._scalar(Node(name, child.at, name, node.reference), key_hint, below)
            if key is _FAILED:
                continue
            if key in result:
                self._fail(child, below, f'duplicate of "{node.reference or key}"')
            value = self.value(child, hint, below)
            if value is not _FAILED:
                result[key] = value
        return result

    def _union(self, node: Node, hint: Any, path: Path) -> Any:
        """The first member that fits. Only members of the node's own shape are tried, so that problems speak of one."""
        members = [member for member in _members(hint) if member is not NoneType and _shaped_like(member, node)]
        for member in members[:-1]:
            attempt = _Reading()
            value = attempt.value(node, member, path)
            if not attempt.problems:
                return value
        if not members:
            names = " or ".join(getattr(member, "__name__", str(member)) for member in _members(hint))
            return self._fail(node, path, f"expected {names}, got {node.shape}")
        return self.value(node, members[-1], path)

    def _scalar(self, node: Node, hint: Any, path: Path) -> Any:
        try:
            if get_origin(hint) is Literal:
                return _choice(node, {str(option): option for option in get_args(hint)})
            if isinstance(hint, type) and issubclass(hint, Enum):
                return _choice(node, {str(member.value): member for member in hint})
            return SCALARS[hint](node)
        except ValueError as error:
            return self._fail(node, path, str(error))

    def _fail(self, node: Node, path: Path, message: str) -> Any:
        self.problems.append(Problem(node.at, path, message))
        return _FAILED


_DEFAULT: Any = object()
"""Stands for: written, but null, so the default holds."""


def _no_problems() -> Iterator[str]:
    return iter(())


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _shaped_like(hint: Any, node: Node) -> bool:
    container = _CONTAINERS.get(get_origin(hint))
    if hint is Any:
        return True
    if isinstance(node.value, dict):
        return container is dict or section_of(hint) is not None or (node.text is not None and hint in TEXTUAL)
    if isinstance(node.value, tuple):
        return (container is not None and container is not dict) or (node.text is not None and hint in TEXTUAL)
    return container is None and section_of(hint) is None


def _choice(node: Node, options: Mapping[str, Any]) -> Any:
    text = read_text(node)
    if text not in options:
        raise ValueError(f'"{node.reference or text}" is not one of {", ".join(options)}{nearest(text, options)}')
    return options[text]


def _instead(name: str, known: Mapping[str, Key]) -> str:
    return nearest(name, known) or (f" (valid keys: {', '.join(known)})" if known else ": there is nothing to set here")
