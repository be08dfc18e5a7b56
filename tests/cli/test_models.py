"""`models match` and `models list`: which entry and tier apply, why, and what usage costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openfuse_collector import components
from openfuse_collector.cli.models import models
from openfuse_collector.component import Kind

ROOT = Path(__file__).parents[2]

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "localhost:4318"}}}}
exporters: {debug: }
extensions:
  pricing:
    models:
    - {name: house, match: ^gpt-4o$, project: acme, prices: {input: 1, output: 2}}
    - {name: everybody, match: ^gpt, prices: {input: 0.001}}
service:
  extensions: [pricing]
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
"""


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a configuration with a `pricing` extension."""
    target = "openfuse_collector.extensions.pricing:FACTORY"
    monkeypatch.setitem(components.BUILT_IN, (Kind.EXTENSION, "pricing"), target)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def rows(result: Result) -> list[list[str]]:
    """The cells of every line of output."""
    assert result.exit_code == 0, result.output
    return [re.split(r"\s{2,}", line.strip()) for line in result.output.splitlines() if line.strip()]


def test_the_entry_the_tier_and_the_reason() -> None:
    result = call("match", "GPT-5.4", "--usage", "input=300000,output=20", "--parameter", "service_tier=flex")
    lines = rows(result)
    assert result.output.startswith(
        '"GPT-5.4" is priced by the entry "gpt-5.4" (bee3c111-fe6f-4641-8775-73ea33b29fca), table: built-in\n'
        "pattern: (?i)^(openai/)?(gpt-5.4)$\n"
    )
    flex = "+ model_parameters.service_tier in flex: it is flex"
    large = "+ usage keys with /(input)/ > 272,000: they sum to 300,000"
    assert ["Flex · Large context (>272K)", "yes", flex] in lines
    assert [large] in lines
    assert ["Fast mode", "- model_parameters.service_tier in fast, priority: it is flex"] in lines
    assert [line[0] for line in lines if "yes" in line] == ["Flex · Large context (>272K)"]
    assert ["input", "300,000", "2.5", "0.75"] in lines
    assert ["output", "20", "11.25", "0.000225"] in lines
    assert ["total", "300,020", "sum", "0.750225"] in lines


def test_a_key_without_a_price_and_fractions_of_units() -> None:
    lines = rows(call("match", "gpt-4o", "--usage", "foo=3", "--usage", "input=0.5,total=9"))
    assert ["foo", "3", "no price"] in lines
    assert ["input", "0.5", "2.5", "0.00000125"] in lines
    assert ["total", "9", "sum", "0.00000125"] in lines


def test_without_usage_the_prices_are_shown() -> None:
    lines = rows(call("match", "text-embedding-3-small"))
    assert ["total", "0.02"] in lines
    assert ["prices of the tier Standard"] in lines


def test_a_name_no_table_has() -> None:
    result = call("match", "unheard-of")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'no price table has an entry for "unheard-of"\n'


@pytest.mark.parametrize("usage", ["input=-1", "input=many", "input=nan", "input", "=3"])
def test_usage_that_is_none(usage: str) -> None:
    result = call("match", "gpt-4o", "--usage", usage)
    assert result.exit_code == 2
    assert "Invalid value for '--usage'" in result.stderr


def test_configured_tables(configured: str) -> None:
    acme = call("match", "gpt-4o", "--project", "acme", "--usage", "output=5", "--config", configured)
    assert '"gpt-4o" is priced by the entry "house" (acme/house), table: project acme' in acme.output
    assert 'passed over: "everybody" (everybody), table: configuration' in acme.output
    assert 'passed over: "gpt-4o" (b9854a5c92dc496b997d99d20), table: built-in' in acme.output
    assert ["output", "5", "2", "0.00001"] in rows(acme)
    other = call("match", "gpt-4o", "--usage", "input=1000", "--config", configured)
    assert '"gpt-4o" is priced by the entry "everybody"' in other.output
    without = call("match", "gpt-4o", "--config", configured, "--set", "extensions.pricing.models=[]")
    assert 'is priced by the entry "gpt-4o"' in without.output


def test_metadata_conditions(configured: str) -> None:
    model = "{name: m, match: ^m$, prices: {input: 1}, tiers: [{name: US, prices: {input: 2}, when: [{metadata: region, in: [us]}]}]}"
    where = ("--config", configured, "--set", f"extensions.pricing.models=[{model}]")
    lines = rows(call("match", "m", "--metadata", "region=us", "--usage", "input=1000000", *where))
    assert ["US", "yes", "+ metadata.region in us: it is us"] in lines
    assert ["input", "1,000,000", "2", "2"] in lines


def test_list() -> None:
    lines = rows(call("list", "OPUS-4-8"))
    assert [line[:5] for line in lines[2:-1]] == [["claude-opus-4-8", "5", "25", "2", "built-in"]]
    assert sum("built-in" in line for line in rows(call("list"))) == 167


def test_list_of_a_project(configured: str) -> None:
    named = [line[0] for line in rows(call("list", "gpt-4o$", "--project", "acme", "--config", configured))]
    assert "house" in named
    assert "house" not in [line[0] for line in rows(call("list", "gpt", "--config", configured))]


def test_list_of_nothing() -> None:
    result = call("list", "unheard-of")
    assert (result.exit_code, result.stdout) == (1, "")


def test_help_imports_neither_tables_nor_the_configuration() -> None:
    program = (
        "import sys\nfrom openfuse_collector.cli.models import models\n"
        "try: models(['match', '--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(out.stdout.splitlines()[-1].split())
    assert imported.isdisjoint(
        {"msgspec", "rich", "yaml", "openfuse_collector.pricing", "openfuse_collector.config.service"}
    )
