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
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
PAGES = sorted(
    str(path.relative_to(CHECKOUT))
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "tests/*/README.md", "openfuse_collector/**/README.md")
    for path in CHECKOUT.glob(pattern)
)
"""Everything there is to read."""


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


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_somewhere(document: str) -> None:
    path = CHECKOUT / document
    links = [(target, anchor) for target, anchor in LINK.findall(path.read_text()) if "://" not in target]
    pages = [(path.parent / target if target else path, anchor) for target, anchor in links]
    assert [str(page) for page, _ in pages if not page.exists()] == []
    assert [f"{page}#{anchor}" for page, anchor in pages if anchor and anchor not in anchors(page)] == []


def test_the_index_names_every_page() -> None:
    index = CHECKOUT / "docs" / "index.md"
    named = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text())}
    pages = [*(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "openfuse_collector").glob("**/README.md")]
    assert [str(page) for page in pages if page != index and page not in named] == []


def test_no_table_is_broken_in_two() -> None:
    """A row behind a blank line is no row but a line of bars."""
    broken = re.compile(r"\n\n(\|[^\n]*\|)\n(?!\|\s*:?-)")
    assert [(page, row) for page in PAGES for row in broken.findall((CHECKOUT / page).read_text())] == []


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
