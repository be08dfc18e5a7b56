"""Where configuration comes from: `--config` sources and `--set` overrides, read and merged into one tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath

from openfuse_collector.config.nodes import Node, Path, Position, Problem
from openfuse_collector.config.parse import parse


def read_sources(sources: Sequence[str], sets: Sequence[str], problems: list[Problem]) -> Node:
    """One map from all sources, left to right, then the overrides. Sources that cannot be read are problems."""
    trees = [_read(source, problems) for source in sources] + [_override(text, problems) for text in sets]
    merged = Node({}, next((tree.at for tree in trees if tree), Position("configuration")))
    for tree in trees:
        if tree is None or tree.value is None:
            continue
        if isinstance(tree.value, dict):
            merged = merge(merged, tree)
        else:
            problems.append(Problem(tree.at, (), f"a configuration is a map, got {tree.shape}"))
    return merged


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: maps join key by key, all else replaces, a null wipes what was there (as the Collector's confmap)."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    joined = dict(base.value)
    for key, node in over.value.items():
        joined[key] = merge(joined[key], node) if key in joined else node
    return Node(joined, base.at)


def _read(source: str, problems: list[Problem]) -> Node | None:
    scheme, separator, rest = source.partition(":")
    if not separator or len(scheme) < 2:  # one letter is a Windows drive
        return _read_file(source, problems)
    read = _SCHEMES.get(scheme)
    if read is None:
        known = ", ".join(f"{name}:" for name in _SCHEMES)
        problems.append(
            Problem(Position(f"--config {scheme}:…"), (), f'unknown scheme "{scheme}:" (valid: {known} or a path)')
        )
        return None
    return read(rest, problems)


def _read_file(path: str, problems: list[Problem]) -> Node | None:
    if not path:  # a shell variable that was not set, as a rule
        problems.append(Problem(Position("--config"), (), "names nothing: write --config path.yaml"))
        return None
    try:
        text = FilePath(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(Problem(Position(path), (), f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        problems.append(Problem(Position(path), (), f"is not UTF-8 text (byte {error.start})"))
    else:
        return parse(text, path, problems)
    return None


def _read_env(name: str, problems: list[Problem]) -> Node | None:
    text = os.environ.get(name)
    if text is None:
        problems.append(Problem(Position(f"env:{name}"), (), "the environment variable is not set"))
        return None
    node = parse(text, f"env:{name}", problems)
    return node and node.referred(f"${{env:{name}}}", names=False)  # its lines can be named, and the settings in them


def _read_yaml(text: str, problems: list[Problem]) -> Node | None:
    node = parse(text, "yaml", problems)
    return _nest(node) if node else None


_SCHEMES: dict[str, Callable[[str, list[Problem]], Node | None]] = {
    "file": _read_file,
    "env": _read_env,
    "yaml": _read_yaml,
}


def _nest(node: Node) -> Node:
    """Keys like `service::telemetry` become maps in maps, as the Collector allows in `yaml:` sources."""
    if not isinstance(node.value, dict):
        return node
    nested = Node({}, node.at)
    for key, child in node.value.items():
        nested = merge(nested, _at_path(tuple(key.split("::")), _nest(child)))
    return nested


def _override(text: str, problems: list[Problem]) -> Node | None:
    """`a.b.c=value`. A key that holds `::` is split there instead, for names with dots in them."""
    key, separator, value = text.partition("=")
    at = Position(f"--set {key}")
    path = tuple(part.strip() for part in key.split("::" if "::" in key else "."))
    if not separator or not all(path):
        problems.append(Problem(Position(f"--set {key}"), (), "write it as path.to.key=value"))
        return None
    node = parse(value, at.source, problems, at)
    return _at_path(path, node.moved(at)) if node else None


def _at_path(path: Path, node: Node) -> Node:
    for name in reversed(path):
        node = Node({name: node}, node.at)
    return node
