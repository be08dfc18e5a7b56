"""Nothing exists that no page speaks of: settings, metrics and command line options, and pages speak of nothing that is gone."""

from __future__ import annotations

import ast
import dataclasses
import re
import types
import typing
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml

from openfuse_collector.cli import main
from openfuse_collector.component import Factory
from openfuse_collector.components import BUILT_IN, factory
from openfuse_collector.config.service import ServiceConfig
from openfuse_collector.pipeline.worker import COUNTED
from tests.collector_process import CollectorProcess

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "openfuse_collector"
METRICS_PAGE = (CHECKOUT / "docs" / "metrics.md").read_text()
COMMANDS_PAGE = (CHECKOUT / "docs" / "commands.md").read_text()
CONFIGURATION_PAGE = (CHECKOUT / "docs" / "configuration.md").read_text()
RELIABILITY_PAGE = (CHECKOUT / "docs" / "reliability.md").read_text()

FACTORIES = [factory(kind, name) for kind, name in BUILT_IN]
METRIC = re.compile(r"(?:otelcol|openfuse)_[a-z_]+")
MAKERS = frozenset(("counter", "gauge", "histogram", "CounterMetricFamily", "GaugeMetricFamily"))
PAGE_ENDINGS = ("_total", "_created", "_bucket", "_sum", "_count")


def in_code(page: str) -> set[str]:
    """Every word a page sets in code type."""
    spans = re.findall(r"`([^`\n]+)`", page)
    return {word for span in spans for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", span)}


def settings(config: type, prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a settings type, sections included."""
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        name = f"{prefix}{field.name.removesuffix('_')}"  # `in_` is written `in`
        yield name
        for nested in sections(hints[field.name]):
            yield from settings(nested, f"{name}.")


def sections(hint: object) -> Iterator[type]:
    """The settings types inside `X`, `X | None`, `tuple[X, ...]`, `dict[str, X]`."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    elif typing.get_origin(hint) is not None or isinstance(hint, types.UnionType):
        for argument in typing.get_args(hint):
            yield from sections(argument)


def readme(made: Factory) -> Path:
    """The page beside the code of a component."""
    module = BUILT_IN[made.kind, made.type].partition(":")[0]
    return Path(str(import_module(module).__file__)).parent / "README.md"


@pytest.mark.parametrize("made", FACTORIES, ids=lambda made: f"{made.kind}/{made.type}")
def test_every_setting_of_a_component_is_in_its_readme(made: Factory) -> None:
    known = in_code(readme(made).read_text())
    assert [name for name in settings(made.config) if name.rpartition(".")[2] not in known] == []


def test_every_setting_of_the_service_is_on_the_configuration_page() -> None:
    known = in_code(CONFIGURATION_PAGE)
    assert [name for name in settings(ServiceConfig) if name.rpartition(".")[2] not in known] == []


def test_the_walk_over_settings_reaches_the_innermost() -> None:
    found = set(settings(factory(*next(key for key in BUILT_IN if key[1] == "otlp")).config))
    assert {"max_in_flight", "protocols.grpc.keepalive.server_parameters.time", "protocols.http.cors.max_age"} <= found


def named_in_calls() -> set[str]:
    """First arguments of the calls that make metrics, where they are written out."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                maker = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if maker in MAKERS and METRIC.fullmatch(str(node.args[0].value)):
                    found.add(str(node.args[0].value))
    return found


def metrics() -> set[str]:
    """Every metric there can be, without the endings of the page."""
    announced = {name for made in FACTORIES for name in made.metrics}
    exported = {f"otelcol_exporter_{what}_{items}" for what in ("sent", "send_failed") for items in COUNTED.values()}
    return named_in_calls() | announced | exported


def documented_metrics() -> set[str]:
    """First cells of the tables."""
    return set(re.findall(r"^\| `([a-z_]+)` \|", METRICS_PAGE, re.MULTILINE))


def without_ending(name: str) -> str:
    ending = next((ending for ending in PAGE_ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending)


def test_every_metric_is_on_the_metrics_page() -> None:
    assert sorted(metrics() - documented_metrics()) == []


def test_a_running_collector_serves_nothing_else(collector: CollectorProcess) -> None:
    served = {
        line.split()[2]
        for line in urllib.request.urlopen(collector.metrics_url, timeout=20).read().decode().splitlines()
        if line.startswith("# TYPE ")
    }
    names = {without_ending(name) for name in served}
    assert "otelcol_receiver_accepted_spans" in names
    assert sorted(names - documented_metrics()) == []


def test_the_metrics_page_names_nothing_that_is_gone() -> None:
    mentioned_in_source = {
        name for path in PACKAGE.rglob("*.py") for name in METRIC.findall(path.read_text())
    } | metrics()
    assert sorted(documented_metrics() - mentioned_in_source) == []


def documented_log_lines() -> list[str]:
    """What stands in code type in the third column of the table of counters and log lines."""
    table = RELIABILITY_PAGE.partition("| Happening | Counter |")[2].partition("\n\n")[0]
    return [line for row in table.splitlines()[2:] for line in re.findall(r"`([^`]+)`", row.split(" | ")[-1])]


def written_texts() -> set[str]:
    """Every text and f-string of the source up to a colon as a regular expression, of those that say something themselves."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [str(part.value) if isinstance(part, ast.Constant) else None for part in parts]
            if sum(len(text) for text in texts if text) >= 8:
                whole = "".join(".+" if text is None else re.escape(text) for text in texts)
                found.add(whole.partition(re.escape(": "))[0])
    return found


def test_log_lines_of_the_reliability_page_are_written() -> None:
    written, lines = [re.compile(text) for text in written_texts()], documented_log_lines()
    assert len(lines) > 10
    assert [line for line in lines if not any(text.fullmatch(line) for text in written)] == []


def alert_rules() -> list[dict[str, object]]:
    (block,) = re.findall(r"```yaml\n(.*?)```", METRICS_PAGE, re.DOTALL)
    return [rule for group in yaml.safe_load(block)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_alert_rules_speak_of_documented_metrics(rule: dict[str, object]) -> None:
    used = {without_ending(name) for name in METRIC.findall(str(rule["expr"]))}
    assert used <= documented_metrics()
    assert used or "up{" in str(rule["expr"])


def commands(group: click.Group = main, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command


def section(command: str) -> str:
    """The part of the commands page about one command."""
    found = re.search(rf"^## {re.escape(command)}\n(.*?)(?=^## |\Z)", COMMANDS_PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section {command!r}"
    return found[1]


def rows(text: str) -> set[str]:
    return set(re.findall(r"^\| `(--[a-z-]+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("name, command", list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_commands_page_has_every_option_and_no_other(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert rows(section(name)) == options - {"--help"}


def test_every_command_of_the_commands_page_exists() -> None:
    assert set(re.findall(r"^## (.+)$", COMMANDS_PAGE, re.MULTILINE)) == {name for name, _ in commands()}
