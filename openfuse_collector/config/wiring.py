"""Checks of how a configuration is wired: what its pipelines name exists, carries their signal, and forms no circle.

Each rule is a generator of complaints; `check_wiring` runs them all and finds the line each complaint belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from openfuse_collector import components
from openfuse_collector.component import ComponentID, Factory, Kind
from openfuse_collector.config.ids import PipelineID
from openfuse_collector.config.nodes import Node, Path, Problem, deepest, locate, nearest, unquoted

if TYPE_CHECKING:
    from openfuse_collector.config.service import PipelineConfig
    from openfuse_collector.signals import Signal


class Wiring(NamedTuple):
    """What the checks look at."""

    pipelines: Mapping[PipelineID, PipelineConfig]
    extensions: tuple[ComponentID, ...]
    components: Mapping[Kind, Mapping[ComponentID, Factory | None]]
    """Everything configured; None for a component whose factory could not be found."""

    def uses(self, role: str) -> Iterator[tuple[PipelineID, ComponentID]]:
        """Every (pipeline, component) pair of one role, in the order written."""
        for pipeline, config in self.pipelines.items():
            for component in getattr(config, role):
                yield pipeline, component


class Complaint(NamedTuple):
    """A mistake, and the path it is reported under. `below` leads on from there to the line that is at fault."""

    path: Path
    message: str
    below: Path = ()


class Role(NamedTuple):
    """One of the three lists of a pipeline: what a member is called, and the sections it may come from."""

    noun: str
    kinds: tuple[Kind, ...]


ROLES = {
    "receivers": Role("receiver", (Kind.RECEIVER, Kind.CONNECTOR)),
    "processors": Role("processor", (Kind.PROCESSOR,)),
    "exporters": Role("exporter", (Kind.EXPORTER, Kind.CONNECTOR)),
}


def check_wiring(wiring: Wiring, root: Node, reported: set[Path]) -> list[Problem]:
    """Every complaint of every rule, but for lists that are empty only because of a mistake already `reported`."""
    spoiled = {path[:length] for path in reported for length in range(len(path) + 1)}
    found = (complaint for rule in RULES for complaint in rule(wiring))
    return [
        _problem(complaint, root)
        for complaint in found
        if not (complaint.message.startswith("must ") and complaint.path in spoiled)
    ]


def _problem(complaint: Complaint, root: Node) -> Problem:
    node, path = deepest(root, complaint.path)
    around, _ = deepest(root, complaint.path[:-1])
    message = unquoted(complaint.message, node if around.reference is None else around)
    return Problem(locate(root, complaint.path + complaint.below), path, message)


def _something_runs(wiring: Wiring) -> Iterator[Complaint]:
    if not wiring.components[Kind.RECEIVER]:
        yield Complaint(("receivers",), "must have at least one receiver")
    if not wiring.components[Kind.EXPORTER]:
        yield Complaint(("exporters",), "must have at least one exporter")
    if not wiring.pipelines:
        yield Complaint(("service", "pipelines"), "must have at least one pipeline")


def _both_ends(wiring: Wiring) -> Iterator[Complaint]:
    for pipeline, config in wiring.pipelines.items():
        for role in ("receivers", "exporters"):
            if not getattr(config, role):
                yield Complaint((*_path(pipeline), role), f"must have at least one {ROLES[role].noun}")


def _no_duplicates(wiring: Wiring) -> Iterator[Complaint]:
    lists = [((*_path(id), role), getattr(config, role)) for id, config in wiring.pipelines.items() for role in ROLES]
    lists.append((("service", "extensions"), wiring.extensions))
    for path, members in lists:
        for member in dict.fromkeys(member for member in members if members.count(member) > 1):
            yield Complaint(path, f'"{member}" is listed more than once', (str(member),))


def _configured(wiring: Wiring) -> Iterator[Complaint]:
    for name, role in ROLES.items():
        for pipeline, component in wiring.uses(name):
            if _section_of(wiring, component, role) is None:
                known = [str(id) for kind in role.kinds for id in wiring.components[kind]]
                message = _unconfigured(role.noun, component, role.kinds[0], known)
                yield Complaint(_path(pipeline), message, (name, str(component)))


def _extensions(wiring: Wiring) -> Iterator[Complaint]:
    known = wiring.components[Kind.EXTENSION]
    for extension in wiring.extensions:
        if extension not in known:
            message = _unconfigured("extension", extension, Kind.EXTENSION, [str(id) for id in known])
            yield Complaint(("service", "extensions"), message, (str(extension),))


def _one_meaning(wiring: Wiring) -> Iterator[Complaint]:
    for connector in wiring.components[Kind.CONNECTOR]:
        for kind in (Kind.RECEIVER, Kind.EXPORTER):
            if connector in wiring.components[kind]:
                message = f'ambiguous ID: there is a component "{connector}" in {kind} too, give one of them a name'
                yield Complaint((Kind.CONNECTOR, str(connector)), message)


def _joined(wiring: Wiring) -> Iterator[Complaint]:
    """A connector is the exporter of one pipeline and the receiver of another; one half alone leads nowhere."""
    ends = {role: {component for _, component in wiring.uses(role)} for role in ("receivers", "exporters")}
    for connector in wiring.components[Kind.CONNECTOR]:
        into, out = connector in ends["exporters"], connector in ends["receivers"]
        if into != out:
            here, there = ("exporter", "receiver") if into else ("receiver", "exporter")
            message = f"is used as {here} but not as {there}: name it under {there}s of another pipeline"
            yield Complaint((Kind.CONNECTOR, str(connector)), message)


def _carries(wiring: Wiring) -> Iterator[Complaint]:
    for name, role in ROLES.items():
        for pipeline, component in wiring.uses(name):
            kind = _section_of(wiring, component, role)
            factory = wiring.components[kind][component] if kind else None
            if kind is None or factory is None:
                continue
            source = name == "receivers"
            signals = factory.emits if source and kind is Kind.CONNECTOR else factory.signals
            if pipeline.signal not in signals:
                verb = "produces" if source else "takes"
                message = f'{kind[:-1]} "{component}" does not fit: it {verb} {_names(signals)}, not {pipeline.signal}'
                yield Complaint((*_path(pipeline), name), message, (str(component),))


def _no_circles(wiring: Wiring) -> Iterator[Complaint]:
    """Depth first along the connectors; a pipeline met again on its own way closes a circle."""
    connectors = wiring.components[Kind.CONNECTOR]
    fed: dict[ComponentID, list[PipelineID]] = {connector: [] for connector in connectors}
    for pipeline, component in wiring.uses("receivers"):
        fed.get(component, []).append(pipeline)
    finished: set[PipelineID] = set()

    def follow(pipeline: PipelineID, way: tuple[PipelineID, ...]) -> Iterator[Complaint]:
        if pipeline in way:
            circle = " -> ".join(f'"{step}"' for step in (*way[way.index(pipeline) :], pipeline))
            yield Complaint(_path(pipeline), f"connectors form a circle: {circle}")
        elif pipeline not in finished:
            for component in wiring.pipelines[pipeline].exporters:
                for following in fed.get(component, ()):
                    yield from follow(following, (*way, pipeline))
            finished.add(pipeline)

    for pipeline in wiring.pipelines:
        yield from follow(pipeline, ())


RULES: tuple[Callable[[Wiring], Iterator[Complaint]], ...] = (
    _something_runs,
    _both_ends,
    _no_duplicates,
    _configured,
    _extensions,
    _one_meaning,
    _joined,
    _carries,
    _no_circles,
)


def _path(pipeline: PipelineID) -> Path:
    return ("service", "pipelines", str(pipeline))


def _section_of(wiring: Wiring, component: ComponentID, role: Role) -> Kind | None:
    return next((kind for kind in role.kinds if component in wiring.components[kind]), None)


def _unconfigured(noun: str, component: ComponentID, kind: Kind, known: list[str]) -> str:
    remedy = components.REPLACED.get((kind, component.type))
    hint = f": {remedy}" if remedy else nearest(str(component), known)
    return f'references {noun} "{component}" which is not configured{hint}'


def _names(signals: frozenset[Signal]) -> str:
    return " and ".join(sorted(signals)) or "nothing"
