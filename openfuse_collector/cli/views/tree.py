"""The observations of a trace as a tree, line by line; deep chains, orphans and loops of parents all end up in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openfuse_collector.cli.views.format import UNICODE, Glyphs
from openfuse_collector.cli.views.store import Observation

DEEPEST = 10
"""Levels that are indented; what lies deeper keeps this indent and says by how much."""


@dataclass(frozen=True)
class Branch:
    """An observation and the lines drawn in front of its name. `orphan`: the parent it names is not above it."""

    observation: Observation
    stem: str
    orphan: bool


@dataclass(frozen=True)
class _Step:
    """One observation on the way down; `lasts`: for each level below the root, whether it is the last child there."""

    observation: Observation
    depth: int
    lasts: tuple[bool, ...]


def branches(observations: Sequence[Observation], glyphs: Glyphs = UNICODE) -> list[Branch]:
    """Every observation once, each below its parent, siblings in order of start.

    A loop of parents (telemetry can say anything) is entered at its earliest observation.
    """
    in_order = sorted(observations, key=lambda o: (o.start_time, o.id))
    known = {observation.id for observation in observations}
    children: dict[str, list[Observation]] = defaultdict(list)
    roots: list[Observation] = []
    for observation in in_order:
        parent = observation.parent_observation_id
        (children[parent] if parent in known and parent is not None else roots).append(observation)
    drawn: set[str] = set()
    families = [list(_descend(root, children, drawn)) for root in roots]
    families += [list(_descend(first, children, drawn)) for first in in_order if first.id not in drawn]
    return [
        Branch(step.observation, _stem(step, at == len(families) - 1, glyphs), _is_orphan(step))
        for at, family in enumerate(families)
        for step in family
    ]


def _descend(root: Observation, children: Mapping[str, list[Observation]], drawn: set[str]) -> Iterator[_Step]:
    """Depth first, without recursion: chains of thousands of agents exist."""
    stack = [_Step(root, 0, ())]
    while stack:
        step = stack.pop()
        if step.observation.id in drawn:
            continue
        drawn.add(step.observation.id)
        yield step
        below = children.get(step.observation.id, [])
        for at, child in reversed(list(enumerate(below))):
            stack.append(_Step(child, step.depth + 1, (*step.lasts, at == len(below) - 1)[:DEEPEST]))


def _stem(step: _Step, last_family: bool, glyphs: Glyphs) -> str:
    """What stands in front of the name: a pipe for every level above that goes on, then a tee or a corner."""
    levels = (last_family, *step.lasts)
    gap = " " * len(glyphs.pipe)
    above = "".join(gap if last else glyphs.pipe for last in levels[:-1])
    beyond = f"(+{step.depth - DEEPEST}) " if step.depth > DEEPEST else ""
    return above + (glyphs.corner if levels[-1] else glyphs.tee) + beyond


def _is_orphan(step: _Step) -> bool:
    return step.depth == 0 and bool(step.observation.parent_observation_id)
