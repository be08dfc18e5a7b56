"""What a newcomer reads is true: commands and options exist, links lead somewhere, the image's configuration is valid."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from openfuse_collector.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "docs/index.md",
    "docs/getting-started.md",
    "docs/commands.md",
    "benchmarks/README.md",
    "CHANGELOG.md",
)

COMMAND = re.compile(r"openfuse-collector ([a-z][a-z-]*(?: +[^#|`\n]*)?)")
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)[^)]*\)")


def commands() -> list[str]:
    texts = [(CHECKOUT / name).read_text() for name in DOCUMENTS]
    texts += [path.read_text() for path in (CHECKOUT / "examples").glob("*.py")]
    return sorted({match.group(1).strip() for text in texts for match in COMMAND.finditer(text)})


@pytest.mark.parametrize("command", commands())
def test_commands_and_their_options_exist(command: str) -> None:
    name, *arguments = command.split()
    with click.Context(main) as context:
        found = main.get_command(context, name)
        if isinstance(found, click.Group) and arguments:
            found, name = found.get_command(context, arguments[0]), f"{name} {arguments.pop(0)}"
    assert found is not None, f"no command {name!r}"
    known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= known


def test_the_documents_do_mention_commands() -> None:
    assert {"run", "traces", "send"} <= {command.split()[0] for command in commands()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = CHECKOUT / document
    targets = [target for target in LINK.findall(path.read_text()) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        mentioned = set(re.findall(r"(?:^ {4}|^\$ |`)make ([a-z]+)", (CHECKOUT / document).read_text(), re.MULTILINE))
        assert mentioned <= targets


def test_the_image_starts_with_a_valid_configuration() -> None:
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    command = json.loads(dockerfile.partition("\nCMD ")[2].replace("\\\n", ""))
    assert command[0] == "run"
    validate = [sys.executable, "-m", "openfuse_collector", "validate", *command[1:]]
    checked = subprocess.run(validate, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert checked.returncode == 0, checked.stderr
