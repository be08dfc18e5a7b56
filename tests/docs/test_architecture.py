"""What docs/architecture.md says of imports holds, and whoever follows a citation of the source to a page finds it there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "openfuse_collector"
PAGE = (CHECKOUT / "docs" / "architecture.md").read_text()
SOURCES = sorted(PACKAGE.rglob("*.py"))

PURE = ("mapping", "events", "enrich", "tokens", "pricing")
SECTIONS = ("receivers", "processors", "connectors", "exporters", "extensions")
KNOWS_COMPONENTS = ("cli", "payloads")

INVARIANT = re.compile(r"[Ii]nvariant (I\d)|\((I\d)\)")
PATH = re.compile(r"\b(?:docs|tests|benchmarks|config|examples)/[\w./-]+\.(?:md|py|yaml)\b")


def module(path: Path) -> tuple[str, ...]:
    """Names below the package: `("exporters", "sqlite", "store")`."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """What of the package a file imports, wherever in the file and for whatever purpose."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(name), names=names):
                found = [f"{name}.{alias.name}" for alias in names]
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case _:
                continue
        for name in found:
            package, *rest = name.split(".")
            if package == PACKAGE.name:
                yield tuple(rest)


def component(name: tuple[str, ...]) -> str | None:
    """`exporters/sqlite` of what is in it, None of what is in no component; what receivers have in common is none."""
    is_component = len(name) > 1 and name[0] in SECTIONS and (PACKAGE / name[0] / name[1] / "README.md").is_file()
    return "/".join(name[:2]) if is_component else None


def test_there_are_components_to_look_at() -> None:
    found = {component(module(path)) for path in SOURCES}
    assert {"receivers/otlp", "connectors/genai", "exporters/sqlite", "extensions/api_keys"} <= found


@pytest.mark.parametrize("folder", PURE)
def test_pure_folders_import_each_other_and_signals_alone(folder: str) -> None:
    assert f"`{folder}/`" in PAGE
    names = {name[0] for path in (PACKAGE / folder).rglob("*.py") for name in imported(path)}
    assert names <= {*PURE, "signals"}


def test_components_are_imported_by_themselves_commands_and_payloads_alone() -> None:
    strangers = [
        f"{path.relative_to(CHECKOUT)} imports {target}"
        for path in SOURCES
        if module(path)[0] not in KNOWS_COMPONENTS
        for name in imported(path)
        if (target := component(name)) is not None and target != component(module(path))
    ]
    assert strangers == []


def test_every_invariant_that_is_named_is_on_the_page() -> None:
    cited = {
        first or second
        for path in SOURCES + sorted((CHECKOUT / "tests").rglob("*.py"))
        for first, second in re.findall(INVARIANT, path.read_text())
    }
    assert {"I2", "I5", "I7"} <= cited
    anchors = re.findall(r'^\* <a id="(i\d)"></a>\*\*(I\d), ', PAGE, re.MULTILINE)
    assert all(anchor.upper() == name for anchor, name in anchors)
    assert cited <= {name for _, name in anchors} == {f"I{number}" for number in range(1, 8)}


def test_every_file_the_source_names_is_there() -> None:
    """Of this repository: a rule that is somebody else's is cited by whose it is."""
    named = [(path, name) for path in SOURCES for name in PATH.findall(path.read_text())]
    assert len(named) > 5
    assert [f"{path.name}: {name}" for path, name in named if not (CHECKOUT / name).is_file()] == []
    assert [str(path) for path in SOURCES if re.search(r"\bspec(/|[ ]§|[ ]\d)", path.read_text())] == []
