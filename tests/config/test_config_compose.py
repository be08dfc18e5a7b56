"""docker/compose.greptimedb.yaml: whatever it refers to is there, and both ends of each connection agree. No Docker is needed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from openfuse_collector.component import ComponentID
from openfuse_collector.config.service import CollectorConfig, load
from openfuse_collector.config.types import Duration

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.greptimedb.yaml"
DEFAULTED = re.compile(r"\$\{(\w+):-([^}]*)\}")

Service = dict[str, Any]


@pytest.fixture
def services() -> dict[str, Service]:
    """The services as they are where no variable is set."""
    text = COMPOSE.read_text()
    assert not re.search(r"\$\{\w+\}", text), "a variable without a default"
    found: dict[str, Service] = yaml.safe_load(DEFAULTED.sub(r"\2", text))["services"]
    return found


def mounts(service: Service) -> dict[str, str]:
    """Path inside -> what is there."""
    pairs = (volume.split(":") for volume in service["volumes"])
    return {inside: outside for outside, inside, *_ in pairs}


@pytest.fixture
def config(services: dict[str, Service], monkeypatch: pytest.MonkeyPatch) -> CollectorConfig:
    """The collector's configuration with the container's environment."""
    for name in [name for name in os.environ if name.startswith(("OPENFUSE_", "GREPTIMEDB_"))]:
        monkeypatch.delenv(name)
    collector = services["collector"]
    for name, value in collector["environment"].items():
        monkeypatch.setenv(name, value)
    run, option, inside = collector["command"]
    assert (run, option) == ("run", "--config")
    warnings: list[str] = []
    loaded = load([str((COMPOSE.parent / mounts(collector)[inside]).resolve())], warn=warnings.append)
    assert warnings == []
    return loaded


def test_files_and_volumes_are_there(services: dict[str, Service]) -> None:
    assert (COMPOSE.parent / services["collector"]["build"] / "Dockerfile").is_file()
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"]
    for service in services.values():
        for outside in mounts(service).values():
            assert outside in declared or (COMPOSE.parent / outside).is_file()


def test_every_variable_means_something(services: dict[str, Service]) -> None:
    known = set(re.findall(r"\$\{env:(\w+)", (ROOT / "config" / "greptimedb.yaml").read_text()))
    assert set(services["collector"]["environment"]) <= known


def test_the_collector_finds_the_database(services: dict[str, Service], config: CollectorConfig) -> None:
    exporter = config.exporters[ComponentID("greptimedb")]
    listening = dict(
        option.split("=0.0.0.0:")
        for option in services["greptimedb"]["command"]
        if option.endswith(tuple("0123456789"))
    )
    [grpc], [http] = exporter.endpoints, exporter.http_endpoints
    assert grpc.host == http.host == "greptimedb"
    assert (str(grpc.port), str(http.port)) == (listening["--rpc-bind-addr"], listening["--http-addr"])
    published = {port.rpartition(":")[2] for port in services["greptimedb"]["ports"]}
    assert published <= set(listening.values())


def test_published_ports_are_those_the_collector_listens_on(
    services: dict[str, Service], config: CollectorConfig
) -> None:
    protocols = config.receivers[ComponentID("otlp")].protocols
    health = config.extensions[ComponentID("health_check")].endpoint
    listening = (protocols.grpc.endpoint, protocols.http.endpoint, health, config.service.telemetry.metrics.address)
    assert all(address.startswith("0.0.0.0:") for address in map(str, listening))
    published = [port.split(":") for port in services["collector"]["ports"]]
    assert {inside for _, _, inside in published} == {str(address).rpartition(":")[2] for address in listening}
    exposed = re.search(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed and set(exposed[1].split()) == {inside for _, _, inside in published}


def test_nothing_without_a_password_is_published_beyond_the_machine(services: dict[str, Service]) -> None:
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_what_must_survive_is_in_volumes(services: dict[str, Service], config: CollectorConfig) -> None:
    journal = Path(config.service.journal.directory)
    assert any(journal.is_relative_to(inside) for inside in mounts(services["collector"]))
    [home] = [option.partition("=")[2] for option in services["greptimedb"]["command"] if "data-home" in option]
    assert home in mounts(services["greptimedb"])
    # The image makes this directory and gives it to the user it runs as; a new volume takes both over.
    assert "install --directory --owner collector" in (ROOT / "Dockerfile").read_text()
    assert "/data" in mounts(services["collector"])


def test_a_stop_is_given_the_time_it_may_take(services: dict[str, Service], config: CollectorConfig) -> None:
    assert Duration.parse(services["collector"]["stop_grace_period"]) > config.service.shutdown_timeout


def test_the_server_is_one_we_recommend(services: dict[str, Service]) -> None:
    image, _, version = services["greptimedb"]["image"].partition(":v")
    assert image == "greptime/greptimedb"
    assert tuple(map(int, version.split("."))) >= (1, 1, 4)
