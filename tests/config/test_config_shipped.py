"""The configurations that come with the collector: each loads, does what its comments say, and is documented."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import openfuse_collector
from openfuse_collector.cli.options import default_config
from openfuse_collector.component import ComponentID
from openfuse_collector.config.dump import dump
from openfuse_collector.config.ids import PipelineID
from openfuse_collector.config.service import CollectorConfig, ServiceConfig, load
from openfuse_collector.config.unmarshal import keys, section_of
from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.signals import Signal

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))
SQLITE = ComponentID("sqlite")
TRACES, LOGS, EVENTS = (PipelineID(signal) for signal in (Signal.TRACES, Signal.LOGS, Signal.EVENTS))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN", "DATA", "JOURNAL_SIZE", "LOG_LEVEL"):
        monkeypatch.delenv(f"OPENFUSE_{name}", raising=False)


def shipped(name: str, *sets: str) -> CollectorConfig:
    warnings: list[str] = []
    config = load([str(ROOT / "config" / name)], sets, warn=warnings.append)
    assert warnings == []
    return config


def endpoints(config: CollectorConfig) -> tuple[str, str]:
    protocols = config.receivers[ComponentID("otlp")].protocols
    return protocols.grpc.endpoint, protocols.http.endpoint


def test_the_default_stays_on_this_machine() -> None:
    config = shipped("default.yaml")
    assert endpoints(config) == ("localhost:4317", "localhost:4318")
    assert config.exporters[SQLITE].path == "./openfuse.db"
    assert config.extensions[ComponentID("health_check")].endpoint == "localhost:13133"
    assert config.service.telemetry.metrics.address == "localhost:8888"
    assert config.service.journal == JournalConfig()
    assert config.service.pipelines[TRACES].exporters == (ComponentID("genai"),)
    assert config.service.pipelines[EVENTS].receivers == (ComponentID("genai"), ComponentID("langfuse"))


def test_the_sidecar_is_small() -> None:
    small, normal = shipped("sidecar.yaml"), shipped("default.yaml")
    assert small.service.journal.max_size < normal.service.journal.max_size
    assert small.service.journal.cache_size < normal.service.journal.cache_size
    assert small.service.pipelines[TRACES].batch.max_bytes < normal.service.pipelines[TRACES].batch.max_bytes


def test_the_gateway_listens_everywhere_and_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    config = shipped("gateway.yaml")
    assert endpoints(config) == ("0.0.0.0:4317", "0.0.0.0:4318")
    assert config.service.journal.max_size > shipped("default.yaml").service.journal.max_size
    for name, text in {"LISTEN": "10.0.0.1", "DATA": "/data", "JOURNAL_SIZE": "1TiB", "LOG_LEVEL": "debug"}.items():
        monkeypatch.setenv(f"OPENFUSE_{name}", text)
    config = shipped("gateway.yaml")
    assert endpoints(config) == ("10.0.0.1:4317", "10.0.0.1:4318")
    assert config.exporters[SQLITE].path == "/data/openfuse.db"
    assert config.service.journal.max_size == 1 << 40
    assert config.service.telemetry.logs.level == "debug"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_logs_go_the_way_of_traces(path: Path) -> None:
    pipelines = shipped(path.name).service.pipelines
    assert pipelines[LOGS] == pipelines[TRACES]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_survives_being_printed(path: Path) -> None:
    config = load([str(path)])
    assert load([f"yaml:{yaml.safe_dump(dump(config, masked=False))}"]) == config


@pytest.mark.parametrize(
    "override",
    [
        "receivers.otlp.protocols.grpc.endpoint=localhost:1",
        "exporters.sqlite.path=x.db",
        "extensions.health_check.endpoint=localhost:1",
        "service.journal.directory=x",
        "service.telemetry.metrics.address=localhost:1",
        "exporters.sqlite/second.path=x.db",
    ],
)
def test_one_setting_on_top_of_the_default(override: str) -> None:
    path, _, value = override.partition("=")
    node: Any = dump(shipped("default.yaml", override))
    for name in path.split("."):
        node = node[name]
    assert node == value


def test_the_default_is_found_in_a_checkout() -> None:
    assert default_config() == ROOT / "config" / "default.yaml"


def test_an_installed_package_brings_its_own_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openfuse_collector, "__file__", str(tmp_path / "__init__.py"))
    inside = tmp_path / "config" / "default.yaml"
    inside.parent.mkdir()
    inside.touch()
    assert default_config() == inside


def test_the_wheel_holds_the_default_where_it_is_looked_for() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"config/default.yaml" = "openfuse_collector/config/default.yaml"' in project


def _settings(cls: Any, prefix: str) -> list[str]:
    found = []
    for name, key in keys(cls).items():
        section = section_of(key.hint)
        found += _settings(section, f"{prefix}.{name}") if section else [f"{prefix}.{name}"]
    assert is_dataclass(cls)
    return found


def test_every_setting_of_the_service_section_is_documented() -> None:
    documented = set(re.findall(r"^\| `([\w.<>]+)`", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.M))
    settings = [name for name in _settings(ServiceConfig, "service") if name != "service.pipelines"]
    pipeline = type(shipped("default.yaml").service.pipelines[TRACES])
    settings += _settings(pipeline, "service.pipelines.<id>")
    assert [name for name in settings if name not in documented] == []
    assert [name for name in documented if name.startswith("service.") and name not in settings] == []
