"""Checks across components, and whole configurations from sources to values, with stand-in component types."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from config_stand_ins import TABLE, Nothing, Outbound
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector import components
from openfuse_collector.component import ComponentID
from openfuse_collector.config.ids import PipelineID
from openfuse_collector.config.service import BatchConfig, CollectorConfig, PipelineConfig, load
from openfuse_collector.config.types import Duration
from openfuse_collector.errors import ConfigError
from openfuse_collector.signals import Signal

pytestmark = pytest.mark.usefixtures("stand_ins")

GOOD = """\
receivers:
  inbound: {protocols: {grpc: }}
processors:
  step:
connectors:
  turn:
exporters:
  outbound:
  any:
extensions:
  pulse:
service:
  extensions: [pulse]
  pipelines:
    traces:
      receivers: [inbound]
      processors: [step]
      exporters: [turn, any]
    events:
      receivers: [turn]
      exporters: [outbound]
"""


def mistakes(*sources: str, sets: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(sources, sets)
    return list(caught.value.problems)


def loaded(*overrides: str) -> CollectorConfig:
    return load([f"yaml:{GOOD}"], overrides)


def test_a_good_configuration() -> None:
    config = loaded("service.pipelines.traces.batch.timeout=1s", "exporters.outbound.path=x")
    assert config.exporters == {ComponentID("outbound"): Outbound(path="x"), ComponentID("any"): Nothing()}
    assert config.service.extensions == (ComponentID("pulse"),)
    assert config.service.pipelines[PipelineID(Signal.TRACES)] == PipelineConfig(
        receivers=(ComponentID("inbound"),),
        processors=(ComponentID("step"),),
        exporters=(ComponentID("turn"), ComponentID("any")),
        batch=BatchConfig(timeout=Duration(1)),
    )
    assert config.service.shutdown_timeout == Duration(10)
    assert config.service.journal.directory == "./openfuse-journal"


def test_the_rest_of_the_service_section() -> None:
    config = loaded(
        "service.journal.directory=/data",
        "service.telemetry.metrics.address=:9999",
        "service.telemetry.logs.level=debug",
        "service.shutdown_timeout=1m",
    )
    assert config.service.journal.directory == "/data"
    assert config.service.telemetry.metrics.address.port == 9999
    assert config.service.telemetry.logs.level == "debug"
    assert config.service.shutdown_timeout == Duration(60)


def test_what_is_defined_but_unused_is_fine() -> None:
    assert ComponentID("inbound", "spare") in loaded("receivers.inbound/spare.protocols.http=").receivers
    assert ComponentID("turn", "spare") in loaded("connectors.turn/spare=").connectors


T, E = "service.pipelines.traces", "service.pipelines.events"


@pytest.mark.parametrize(
    ("overrides", "problems"),
    [
        (
            (f"{T}.receivers=[inbond]",),
            [
                'service::pipelines::traces: references receiver "inbond" which is not configured, '
                'did you mean "inbound"?'
            ],
        ),
        (
            (f"{T}.processors=[outbound]",),
            ['service::pipelines::traces: references processor "outbound" which is not configured'],
        ),
        (
            (f"{T}.processors=[batch]",),
            [
                'service::pipelines::traces: references processor "batch" which is not configured: pipelines batch by '
                "themselves here; take the processor out and set service::pipelines::<id>::batch "
                "(timeout, max_items, max_bytes) if the defaults do not suit"
            ],
        ),
        (
            (f"{T}.exporters=[turn, any, turn]",),
            ['service::pipelines::traces::exporters: "turn" is listed more than once'],
        ),
        (
            ("service.extensions=[pulse, pulse]",),
            ['service::extensions: "pulse" is listed more than once'],
        ),
        (
            ("service.extensions=[plus]",),
            ['service::extensions: references extension "plus" which is not configured, did you mean "pulse"?'],
        ),
        ((f"{T}.receivers=",), ["service::pipelines::traces::receivers: must have at least one receiver"]),
        ((f"{T}.receivers=[]",), ["service::pipelines::traces::receivers: must have at least one receiver"]),
        (
            (f"{T}.exporters=[any]",),
            ["connectors::turn: is used as receiver but not as exporter: name it under exporters of another pipeline"],
        ),
        (
            ("service.pipelines.events=", f"{E}.receivers=[inbound]", f"{E}.exporters=[any]"),
            [
                "connectors::turn: is used as exporter but not as receiver: name it under receivers of another pipeline",
                'service::pipelines::events::receivers: receiver "inbound" does not fit: it produces traces, not events',
            ],
        ),
        (
            (f"{T}.exporters=[turn, outbound]",),
            ['service::pipelines::traces::exporters: exporter "outbound" does not fit: it takes events, not traces'],
        ),
        (
            (f"{E}.processors=[step]",),
            ['service::pipelines::events::processors: processor "step" does not fit: it takes traces, not events'],
        ),
        (
            (f"{E}.exporters=[outbound, turn]",),
            [
                'service::pipelines::events::exporters: connector "turn" does not fit: it takes traces, not events',
                'service::pipelines::events: connectors form a circle: "events" -> "events"',
            ],
        ),
        (
            ("connectors.loop=", f"{T}.exporters=[turn, loop]", f"{T}.receivers=[inbound, loop]"),
            ['service::pipelines::traces: connectors form a circle: "traces" -> "traces"'],
        ),
        (
            ("connectors.turn/x=", "exporters.turn/x="),
            [
                'connectors::turn/x: ambiguous ID: there is a component "turn/x" in exporters too, '
                "give one of them a name",
                'exporters::turn/x: unknown type: "turn" (valid values: [any, outbound])',
            ],
        ),
        (
            ("receivers.inbuond/x=",),
            ['receivers::inbuond/x: unknown type: "inbuond" (valid values: [inbound]), did you mean "inbound"?'],
        ),
        (
            ("service.pipelines.trace={receivers: [inbound], exporters: [any]}",),
            [
                'service::pipelines::trace: unknown signal "trace" (valid values: [traces, logs, metrics, events]), '
                'did you mean "traces"?'
            ],
        ),
        (
            ("service.pipelines.metrics={receivers: [inbound], exporters: [any]}",),
            [
                'service::pipelines::metrics::exporters: exporter "any" does not fit: '
                "it takes events and logs and traces, not metrics",
                'service::pipelines::metrics::receivers: receiver "inbound" does not fit: it produces traces, not metrics',
            ],
        ),
        (("reciever.x=1",), ['reciever: unknown key, did you mean "receivers"?']),
        (("receivers.in bound=",), None),
        ((f"{T}.batch.max_items=0",), ["service::pipelines::traces::batch: max_items must be at least 1"]),
    ],
)
def test_wiring(overrides: tuple[str, ...], problems: list[str] | None) -> None:
    found = [problem.split(": ", 1)[1] for problem in mistakes(f"yaml:{GOOD}", sets=overrides)]
    assert sorted(found) == sorted(
        problems
        or [
            'receivers::in bound: "in bound" is not a component type: letters, digits and _, a letter first, at most 63'
        ]
    )


def test_a_circle_over_several_pipelines_is_told_as_a_way() -> None:
    text = """\
receivers: {inbound: {protocols: {grpc: }}}
connectors: {loop: , loop/2: }
exporters: {any: }
service:
  pipelines:
    traces: {receivers: [inbound, loop/2], exporters: [loop]}
    traces/2: {receivers: [loop], exporters: [loop/2, any]}
"""
    assert mistakes(f"yaml:{text}") == [
        'yaml:6: service::pipelines::traces: connectors form a circle: "traces" -> "traces/2" -> "traces"'
    ]


@pytest.mark.parametrize("processor", ["batch", "memory_limiter"])
def test_processors_of_the_collector_that_are_not_needed_say_so(processor: str) -> None:
    problems = mistakes(f"yaml:{GOOD}", sets=(f"processors.{processor}.timeout=1s", f"{T}.processors=[{processor}]"))
    assert len(problems) == 1
    assert f'processors::{processor}: there is no "{processor}" processor' in problems[0]
    assert "take the processor out" in problems[0]


def test_mistakes_of_all_kinds_come_together_sorted_by_line(write: Any) -> None:
    write(
        "bad.yaml",
        """\
        receivers:
          inbound:
            protocols:
              grcp: {}
          nosuch: {}
        exporters:
          outbound:
            timeout: 5
        service:
          pipelines:
            traces:
              receivers: [inbound]
              exporters:
                - outbound
                - gone
        """,
    )
    assert mistakes("bad.yaml") == [
        "bad.yaml:3: receivers::inbound::protocols: must specify at least one protocol",
        'bad.yaml:4: receivers::inbound::protocols::grcp: unknown key, did you mean "grpc"?',
        'bad.yaml:5: receivers::nosuch: unknown type: "nosuch" (valid values: [inbound])',
        "bad.yaml:8: exporters::outbound::timeout: a duration needs a unit: write 5s for seconds or 5ms for milliseconds",
        "bad.yaml:14: service::pipelines::traces::exporters: "
        'exporter "outbound" does not fit: it takes events, not traces',
        'bad.yaml:15: service::pipelines::traces: references exporter "gone" which is not configured',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "yaml:1: the configuration is empty"),
        ("{receivers: , exporters: , service: }", "must have at least one"),
        ("receivers: [otlp]", "expected a map of components, got a list"),
        ("service: 5", "expected a map, got the number 5"),
    ],
)
def test_configurations_with_hardly_anything_in_them(text: str, problem: str) -> None:
    assert any(problem in line for line in mistakes(f"yaml:{text}"))


def test_without_a_source_there_is_no_configuration() -> None:
    assert mistakes() == ["no configuration: name at least one source with --config"]


def test_a_broken_reference_is_reported_once() -> None:
    assert mistakes(f"yaml:{GOOD}", sets=("exporters.outbound.retries=${file:gone}",)) == [
        "--set exporters.outbound.retries: exporters::outbound::retries: "
        "the file gone cannot be read: No such file or directory"
    ]


def test_an_empty_variable_is_an_empty_text_and_otherwise_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    config = loaded("exporters.outbound.path=${EMPTY}", "exporters.outbound.timeout=${EMPTY}")
    assert config.exporters[ComponentID("outbound")] == Outbound(path="", timeout=Duration(5))


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    told: list[str] = []
    config = load([f"yaml:{GOOD}"], ["exporters.outbound.path=${UNSET}"], warn=told.append)
    assert config.exporters[ComponentID("outbound")] == Outbound()
    assert len(told) == 1
    assert told[0].startswith(
        "--set exporters.outbound.path: exporters::outbound::path: the environment variable UNSET"
    )


WORDS = st.sampled_from(["", "traces", "inbound", "turn", "5", "5s", "a/", "${UNSET", "$$", "otlp/x y", "é"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def paths(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = (
        [found for key, child in tree.items() for found in paths(child, (*path, key))] if isinstance(tree, dict) else []
    )
    return [path, *below] if path else below


@given(st.data())
def test_whatever_is_written_the_answer_is_a_configuration_or_located_problems(data: st.DataObject) -> None:
    tree: Any = yaml.safe_load(GOOD)
    *parents, last = data.draw(st.sampled_from(paths(tree)))
    node = tree
    for name in parents:
        node = node[name]
    node[data.draw(st.just(last) | WORDS)] = data.draw(TREES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "BUILT_IN", dict(TABLE))
        try:
            config = load([f"yaml:{yaml.safe_dump(tree, allow_unicode=True)}"])
        except ConfigError as error:
            assert error.problems
            assert all(problem.startswith("yaml:") for problem in error.problems)
        else:
            assert config.service.pipelines
