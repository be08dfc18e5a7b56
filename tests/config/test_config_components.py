"""Component types: built-ins and their aliases, plug-ins by entry point, and what is imported when."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import config_stand_ins
import pytest

from openfuse_collector import components
from openfuse_collector.component import Kind
from openfuse_collector.errors import ConfigError

ROOT = Path(__file__).parents[2]
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with these entry points of the exporters group on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str, points: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[openfuse_collector.exporters]\n{points}\n")

    return put


def refusal(type: str, kind: Kind = Kind.EXPORTER) -> str:
    with pytest.raises(ConfigError) as caught:
        components.factory(kind, type)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "type"), list(components.BUILT_IN), ids=str)
def test_every_built_in_is_what_the_table_says(kind: Kind, type: str) -> None:
    factory = components.factory(kind, type)
    assert (factory.kind, factory.type) == (kind, type)
    known = {alias for (of, alias), target in components.ALIASES.items() if (of, target) == (kind, type)}
    assert set(factory.aliases) == known


@pytest.mark.usefixtures("stand_ins")
def test_an_alias_is_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(components.ALIASES, (Kind.CONNECTOR, "old_turn"), "turn")
    assert components.factory(Kind.CONNECTOR, "old_turn") is config_stand_ins.TURN


def test_a_plug_in_is_found_by_its_entry_point(install: Install) -> None:
    install("acme", "outbound = config_stand_ins:OUTBOUND")
    assert components.factory(Kind.EXPORTER, "outbound") is config_stand_ins.OUTBOUND
    assert [offer.distribution for offer in components.offers() if offer.type == "outbound"] == ["acme 1.2"]


def test_an_unknown_type_is_answered_with_built_ins_and_plug_ins(install: Install) -> None:
    install("acme", "outbound = config_stand_ins:OUTBOUND")
    message = refusal("outbond")
    assert message.startswith('unknown type: "outbond" (valid values: [')
    assert "sqlite" in message
    assert message.endswith('did you mean "outbound"?')


def test_two_distributions_with_one_type_are_both_named(install: Install) -> None:
    install("acme", "outbound = config_stand_ins:OUTBOUND")
    install("other", "outbound = config_stand_ins:ANY")
    assert refusal("outbound") == 'type "outbound" is offered by acme 1.2 and other 1.2: uninstall one of them'


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("x = nowhere_at_all:FACTORY", '"x" of acme 1.2 cannot be loaded: ModuleNotFoundError'),
        ("x = config_stand_ins:GONE", '"x" of acme 1.2 cannot be loaded: AttributeError'),
        ("x = config_stand_ins:NO_FACTORY", '"x" of acme 1.2 is no factory for exporters: config_stand_ins:NO_FACTORY'),
        ("x = config_stand_ins:INBOUND", '"x" of acme 1.2 is no factory for exporters: config_stand_ins:INBOUND'),
        ("x = config_stand_ins:OUTBOUND", '"x" of acme 1.2 calls itself "outbound"'),
    ],
)
def test_a_broken_plug_in_names_its_distribution(install: Install, point: str, message: str) -> None:
    install("acme", point)
    assert refusal("x").startswith(message)


def test_a_plug_in_does_not_replace_a_built_in(install: Install) -> None:
    install("acme", "debug = config_stand_ins:OUTBOUND")
    assert components.factory(Kind.EXPORTER, "debug") is not config_stand_ins.OUTBOUND
    assert [offer.target for offer in components.offers() if offer.type == "debug"] == [
        "openfuse_collector.exporters.debug:FACTORY"
    ]


def test_naming_a_component_imports_nothing_else() -> None:
    """One exporter is looked up in a fresh interpreter; no other component package may come along."""
    program = """
        import sys
        from openfuse_collector import components
        from openfuse_collector.component import Kind
        components.factory(Kind.EXTENSION, "health_check")
        packages = {"receivers", "processors", "connectors", "exporters"}
        print([name for name in sys.modules if name.startswith("openfuse_collector.") and name.split(".")[1] in packages])
    """
    out = subprocess.run([sys.executable, "-c", dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
