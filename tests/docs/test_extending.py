"""The example in docs/extending.md works word for word: as a package of its own that the collector finds and the checks approve."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(?:toml|python)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LARGEST_TEST = 30
"""Lines: using the checks must stay a small thing."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A directory as it would be after an installation: the files of the page, and the metadata its pyproject.toml leads to."""
    for name, text in BLOCK.findall((CHECKOUT / "docs" / "extending.md").read_text()):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in found.items())
        for group, found in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(points))
    return tmp_path


def run(package: Path, *command: str) -> str:
    """What a command prints, in the package's directory."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(package), str(CHECKOUT)))}
    done = subprocess.run([sys.executable, "-m", *command], cwd=package, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_tests_of_the_page_pass(package: Path) -> None:
    assert "2 passed" in run(package, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "tests")
    assert len((package / "tests" / "test_webhook.py").read_text().splitlines()) <= LARGEST_TEST


def test_the_collector_finds_the_component(package: Path) -> None:
    assert "webhook" in run(package, "openfuse_collector", "components", "--format", "yaml")
    config = package / "config.yaml"
    config.write_text(
        "receivers: {langfuse: {endpoint: 'localhost:4319'}}\n"
        "exporters: {webhook: {url: 'https://example.com/events'}}\n"
        "service: {pipelines: {events: {receivers: [langfuse], exporters: [webhook]}}}\n"
    )
    run(package, "openfuse_collector", "validate", "--config", str(config))


def test_a_fault_in_the_component_is_found(package: Path) -> None:
    """The same tests with the one mistake that is made most often: an error that nobody looks at."""
    file = package / "my_collector_parts" / "webhook.py"
    sound = file.read_text()
    file.write_text(sound.replace("if status != 200:", "if status > 599:"))
    assert file.read_text() != sound
    with pytest.raises(AssertionError, match="export returned although the destination had neither taken nor refused"):
        run(package, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "tests")
