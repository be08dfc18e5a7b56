"""Nodes to dataclasses: every kind of field, sections that are on or off, and all mistakes of a tree at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import Any, Literal

import pytest
from config_stand_ins import Inbound, Mode, Nothing, Outbound, Protocols, Server, Tls

from openfuse_collector.component import ComponentID
from openfuse_collector.config.nodes import Problem
from openfuse_collector.config.parse import parse
from openfuse_collector.config.types import Address, Duration, Secret, Size
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.sqlite.config import SqliteConfig


def read(text: str, cls: Any) -> tuple[Any, list[str]]:
    problems: list[Problem] = []
    node = parse(dedent(text), "c.yaml", problems)
    assert node is not None
    assert problems == []
    result, mistakes = unmarshal(node, cls, ("x",))
    return result, [str(mistake) for mistake in mistakes]


def test_nothing_written_is_all_defaults() -> None:
    assert read("", Outbound) == (Outbound(), [])
    assert read("{}", Outbound) == (Outbound(), [])


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("path: 0123", "path", "0123"),
        ("path: yes", "path", "yes"),
        ("path: ''", "path", ""),
        ("path:", "path", "./here"),
        ("timeout: 1m", "timeout", Duration(60)),
        ("timeout: 0", "timeout", Duration(0)),
        ("retries: 7", "retries", 7),
        ("ratio: 1", "ratio", 1.0),
        ("ratio: 1e-3", "ratio", 0.001),
        ("flush: off", "flush", False),
        ("flush: false", "flush", False),
        ("mode: fast", "mode", Mode.FAST),
        ("level: off", "level", "off"),
        ("headers: {a: 1, b: x}", "headers", {"a": "1", "b": "x"}),
        ("headers:", "headers", {}),
        ("keys: [a, 12]", "keys", (Secret("a"), Secret("12"))),
        ("tags: [a, b, a]", "tags", frozenset("ab")),
        ("storage: file/x", "storage", ComponentID("file", "x")),
        ("limit: 1MiB", "limit", Size(1 << 20)),
        ("limit: null", "limit", None),
        ("from: then", "from_", "then"),
        ("free: {a: [1, null]}", "free", {"a": [1, None]}),
        ("fields: a", "fields_", "a"),
        ("fields: [a, b]", "fields_", ("a", "b")),
    ],
)
def test_fields(text: str, field: str, value: Any) -> None:
    result, problems = read(text, Outbound)
    assert problems == []
    assert getattr(result, field) == value
    assert type(getattr(result, field)) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("path: [a]", "x::path: expected text, got a list"),
        ("timeout: 5", "x::timeout: a duration needs a unit: write 5s for seconds or 5ms for milliseconds"),
        ("retries: '7'", 'x::retries: expected a whole number, got the text "7": take away the quotes'),
        ("retries: true", 'x::retries: expected a whole number, got "true"'),
        ("retries: 1.5", "x::retries: expected a whole number, got the number 1.5"),
        ("ratio: high", 'x::ratio: expected a number, got the text "high"'),
        ("flush: 1", "x::flush: expected true or false, got the number 1"),
        ("mode: fats", 'x::mode: "fats" is not one of fast, safe, did you mean "fast"?'),
        ("level: quiet", 'x::level: "quiet" is not one of basic, normal, off'),
        ("headers: [a]", "x::headers: expected a map, got a list"),
        ("headers: {a: [1]}", "x::headers::a: expected text, got a list"),
        ("headers: {a: }", "x::headers::a: must have a value"),
        ("keys: a", 'x::keys: expected a list, got the text "a": write [a]'),
        ("keys: [{}]", "x::keys::0: expected text, got a map"),
        ("storage: 1x", 'x::storage: "1x" is not a component type: letters, digits and _, a letter first, at most 63'),
        ("fields: {a: 1}", "x::fields: expected str or tuple, got a map"),
        ("pth: x", 'x::pth: unknown key, did you mean "path"?'),
        ("from_: x", 'x::from_: unknown key, did you mean "from"?'),
    ],
)
def test_mistakes(text: str, problem: str) -> None:
    result, problems = read(text, Outbound)
    assert problems == [f"c.yaml:1: {problem}"]
    assert result is not None  # the others still count, for checks across components


def test_a_key_without_a_neighbour_is_answered_with_all_of_them() -> None:
    assert read("zzz: 1", Server)[1] == ["c.yaml:1: x::zzz: unknown key (valid keys: endpoint, tls, max_size)"]
    assert read("zzz: 1", Nothing)[1] == ["c.yaml:1: x::zzz: unknown key: there is nothing to set here"]


@pytest.mark.parametrize("text", ["protocols: {grpc: }", "protocols: {grpc: {}}", "protocols: {grpc: ~}"])
def test_a_section_is_on_when_its_key_is_there(text: str) -> None:
    assert read(text, Inbound) == (Inbound(Protocols(grpc=Server())), [])


def test_a_required_setting_is_asked_for_where_its_section_is() -> None:
    text = """\
        protocols:
          grpc:
            tls:
    """
    result, problems = read(text, Inbound)
    assert problems == ["c.yaml:3: x::protocols::grpc::tls::cert_file: must be set"]
    assert result.protocols.grpc == Server(tls=None)


def test_a_null_is_no_value_for_a_required_setting() -> None:
    assert read("cert_file:", Tls)[1] == ["c.yaml:1: x::cert_file: must have a value"]


def test_validate_runs_on_every_level_and_points_at_the_key_it_speaks_of() -> None:
    text = """\
        protocols:
          http:
            max_size: 1
            endpoint: a:1
    """
    assert read(text, Inbound)[1] == ["c.yaml:4: x::protocols::http: endpoint must not use port 1"]


def test_what_could_not_be_read_is_not_missing_as_well() -> None:
    _, mistakes = read("endpoints: ['http://localhost:4001']\nhttp_endpoints: []", GreptimedbConfig)
    assert len(mistakes) == 2
    assert mistakes[0].startswith('c.yaml:1: x::endpoints::0: "http://localhost:4001" is not an address')
    assert mistakes[1] == "c.yaml:2: x: http_endpoints must name at least one host:port"


def test_sections_nobody_wrote_are_checked_too() -> None:
    problem = "c.yaml:1: x::protocols: must specify at least one protocol"
    assert read("{}", Inbound)[1] == [problem]
    assert read("protocols: ", Inbound)[1] == [problem]
    assert read("protocols: {}", Inbound)[1] == [problem]


def test_all_mistakes_come_at_once() -> None:
    text = """\
        protocols:
          grpc:
            endpoint: nowhere
            max_size: big
          http:
            endpoint: a:1
          smtp: {}
        tokn: x
    """
    problems = read(text, Inbound)[1]
    assert [problem.split(":", 2)[1] for problem in sorted(problems)] == ["3", "4", "6", "7", "8"]


def test_values_of_secrets_stay_out_of_messages() -> None:
    assert "hunter2" not in str(read("token: {hunter2: 1}", Inbound)[1][0].split("got")[1])
    assert read("token: hunter2", Inbound)[0] is None or "hunter2" not in repr(read("token: hunter2", Inbound))


def test_hints_nobody_can_read_are_an_error_of_the_author() -> None:
    @dataclass(frozen=True)
    class Odd:
        when: complex = 0j

    with pytest.raises(KeyError):
        read("when: 1", Odd)


def test_addresses_that_yaml_takes_for_numbers() -> None:
    assert read("endpoint: 1:30", Server)[0].endpoint == Address("1:30")


OWN = Server(Address("localhost:9"), Tls("cert", insecure=True), Size(7))


@dataclass(frozen=True)
class Eager:
    """A component that wants other defaults in a section than the section's own."""

    server: Server = OWN
    maybe: Server | None = field(default_factory=lambda: Server(max_size=Size(8)))
    off: Server | Literal["off"] = "off"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("server: {max_size: 5}", Server(Address("localhost:9"), Tls("cert", insecure=True), Size(5))),
        ("server: {max_size: null}", OWN),
        ("server:", OWN),
        ("server: {tls: {key_file: key}}", Server(Address("localhost:9"), Tls("cert", "key", True), Size(7))),
    ],
)
def test_one_key_of_a_section_leaves_the_others_as_the_component_has_them(text: str, server: Server) -> None:
    assert read(text, Eager) == (Eager(server), [])


def test_the_components_own_defaults_hold_in_optional_sections_too() -> None:
    found, mistakes = read("{maybe: {endpoint: a:2}, off: {endpoint: a:3}}", Eager)
    assert mistakes == []
    assert found.maybe == Server(Address("a:2"), max_size=Size(8))
    assert read("maybe: null", Eager) == (Eager(), [])


def test_one_field_of_retry_on_failure_does_not_reset_the_others() -> None:
    for config in (GreptimedbConfig, SqliteConfig):
        found, mistakes = read("retry_on_failure: {max_interval: 7s}", config)
        assert mistakes == []
        assert found.retry_on_failure == replace(config().retry_on_failure, max_interval=Duration(7))
