"""The five component sections: each entry's type is looked up, and its body becomes that component's own config type."""

from __future__ import annotations

from typing import Any, NamedTuple

from openfuse_collector import components
from openfuse_collector.component import ComponentID, Factory, Kind
from openfuse_collector.config.ids import parse_component_id
from openfuse_collector.config.nodes import Node, Problem, unquoted
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.errors import ConfigError


class Section(NamedTuple):
    """What one section configures."""

    configs: dict[ComponentID, Any]
    """Bodies that could be read."""
    factories: dict[ComponentID, Factory | None]
    """Every id with its factory; None where the type is unknown or cannot be imported (a problem by itself)."""


def read_section(kind: Kind, node: Node, problems: list[Problem]) -> Section:
    """All components of one kind. Nothing in the section (null) is an empty section."""
    section = Section({}, {})
    if node.value is None:
        return section
    if not isinstance(node.value, dict):
        problems.append(Problem(node.at, (kind.value,), f"expected a map of components, got {node.shape}"))
        return section
    for name, body in node.value.items():
        path = (kind.value, node.called(name))
        try:
            component = parse_component_id(name, node.reference or "")
            path = (kind.value, node.called(str(component)))
            if component in section.factories:
                raise ValueError(f'duplicate of "{component}"')
            section.factories[component] = None
            section.factories[component] = factory = components.factory(kind, component.type)
        except (ValueError, ConfigError) as error:
            problems.append(Problem(body.at, path, unquoted(str(error), Node(None, body.at, name, node.reference))))
            continue
        config, mistakes = unmarshal(body, factory.config, path)
        problems += mistakes
        if config is not None:
            section.configs[component] = config
    return section
