"""The command line around a configuration: exit codes, what goes to stdout and stderr, and what is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import openfuse_collector
from openfuse_collector.cli import main
from openfuse_collector.cli.main import COMMANDS
from openfuse_collector.config.service import load
from openfuse_collector.config.types import Duration

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def imported_after(program: str) -> set[str]:
    """Top-level packages a fresh interpreter holds after a program that may exit."""
    wrapped = f"import sys\ntry:\n    {program}\nexcept SystemExit: pass\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", wrapped], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in out.stdout.splitlines()[-1].split()}


def test_version() -> None:
    result = call("--version")
    assert (result.exit_code, result.output) == (0, f"openfuse-collector {openfuse_collector.__version__}\n")


def test_help_lists_every_command_from_the_table() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    "arguments", [["validat"], ["validate", "--nope"], ["print-config", "--mode", "x"], ["run", "x"]]
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    assert 'did you mean "validate"?' in call("validat").stderr


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["run", "my.yaml"], "write --config my.yaml"),
        (["validate", "--set", "a=b", "my.yml"], "write --config my.yml"),
        (["--config", "my.yaml"], "--config comes after the command: openfuse-collector run --config …"),
        (["--set", "a=b", "validate"], "--set comes after the command: openfuse-collector validate --set …"),
    ],
)
def test_habits_of_other_programs_are_answered_with_ours(arguments: list[str], remedy: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, remedy in result.stderr) == (2, True), result.stderr


def test_other_wrong_usage_is_left_to_click() -> None:
    assert "--config" not in call("run", "x").stderr.replace("--help", "")
    assert "No such option: --nope" in call("--nope").stderr or "No such option '--nope'" in call("--nope").stderr


def test_the_default_configuration_is_valid() -> None:
    result = call("validate")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "configuration is valid\n", "")


def test_mistakes_are_one_a_line_on_stderr_and_1() -> None:
    result = call("validate", "--set", "exporters.sqlite.pth=x", "--set", "service.shutdown_timeout=5")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        '--set exporters.sqlite.pth: exporters::sqlite::pth: unknown key, did you mean "path"?',
        "--set service.shutdown_timeout: service::shutdown_timeout: "
        "a duration needs a unit: write 5s for seconds or 5ms for milliseconds",
    ]


def test_run_refuses_a_configuration_with_mistakes() -> None:
    result = call("run", "--config", "gone.yaml")
    assert (result.exit_code, result.stderr) == (1, "gone.yaml: cannot be read: No such file or directory\n")


def test_an_unset_variable_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    result = call("validate", "--set", "exporters.sqlite.path=${env:UNSET}")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: --set exporters.sqlite.path: exporters::sqlite::path: the environment")


def test_sources_and_sets_are_applied_in_order(tmp_path: Path) -> None:
    default = str(ROOT / "config" / "default.yaml")
    Path("more.yaml").write_text("exporters: {sqlite: {path: a.db}}\nservice: {shutdown_timeout: 3s}\n")
    result = call(
        "print-config",
        *("--config", default, "--config", "more.yaml", "--config", "yaml:service::journal::directory: j"),
        *("--set", "exporters.sqlite.path=b.db"),
    )
    tree: Any = yaml.safe_load(result.stdout)
    assert tree["exporters"]["sqlite"]["path"] == "b.db"
    assert tree["service"]["shutdown_timeout"] == "3s"
    assert tree["service"]["journal"]["directory"] == "j"
    assert tree["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "localhost:4317"


def test_print_config_masks_unless_told_otherwise() -> None:
    url = "https://me:hunter2@host/x"
    arguments = ("print-config", "--set", f"exporters.sqlite.path={url}")
    assert "hunter2" not in call(*arguments).output
    assert url in call(*arguments, "--mode", "unredacted").stdout


def test_what_is_printed_can_be_loaded_again() -> None:
    for form in ("yaml", "json"):
        Path("printed.yaml").write_text(call("print-config", "--format", form).stdout, encoding="utf-8")
        assert (
            call("print-config", "--config", "printed.yaml", "--format", form).stdout
            == Path("printed.yaml").read_text()
        )
    assert json.loads(Path("printed.yaml").read_text())["exporters"]["sqlite"]["path"] == "./openfuse.db"
    assert load(["printed.yaml"]).service.shutdown_timeout == Duration(10)


def test_components_as_a_table_and_as_yaml() -> None:
    table, listing = call("components"), call("components", "--format", "yaml")
    assert table.exit_code == listing.exit_code == 0
    rows = {(row["kind"], row["type"]): row for row in yaml.safe_load(listing.stdout)}
    assert rows["connectors", "genai"]["signals"].endswith("-> events")
    assert rows["exporters", "sqlite"] == {
        "kind": "exporters",
        "type": "sqlite",
        "signals": "events",
        "stability": "alpha",
        "distribution": f"openfuse-collector {openfuse_collector.__version__}",
    }
    for _, type in rows:
        assert f" {type} " in table.stdout


def test_help_imports_nothing_heavy() -> None:
    imported = imported_after("from openfuse_collector.cli import main; main(['--help'])")
    assert imported.isdisjoint({"yaml", "msgspec", "rich", "grpc", "aiohttp", "google", "structlog", "sqlite3"})


def test_loading_the_default_configuration_opens_no_network_library() -> None:
    imported = imported_after("from openfuse_collector.cli import main; main(['validate'])")
    assert "yaml" in imported
    assert imported.isdisjoint({"rich", "grpc", "aiohttp"})


def test_an_extension_named_after_credentials_shows_its_other_settings() -> None:
    """`api_keys` is the id of an extension, not a key that names a credential; what is secret in it still is."""
    project = "extensions.api_keys.projects=[{id: shop, keys: [{public_key: pk-1, secret_key: sk-1}]}]"
    shown = yaml.safe_load(call("print-config", "--set", project).stdout)["extensions"]["api_keys"]
    assert (shown["projects"][0]["id"], shown["failure_delay"]) == ("shop", "250ms")
    assert shown["projects"][0]["keys"][0]["secret_key"] == "[REDACTED]"
