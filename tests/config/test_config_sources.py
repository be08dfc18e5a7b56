"""`--config` and `--set`: schemes, the order of merging, and where merged values say they come from."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.config.nodes import Position, Problem, locate
from openfuse_collector.config.sources import read_sources


def read(sources: list[str], sets: list[str] | None = None) -> tuple[Any, list[str]]:
    problems: list[Problem] = []
    node = read_sources(sources, sets or [], problems)
    return node.plain(), [str(problem) for problem in problems]


def test_maps_join_and_everything_else_is_replaced(write: Any) -> None:
    write("a.yaml", "m: {a: 1, b: {c: 1}}\nl: [1, 2]\nwiped: {x: 1}\nkept: {x: 1}\n")
    write("b.yaml", "m: {b: {d: 2}}\nl: [3]\nwiped:\nkept: {}\n")
    merged = {"m": {"a": 1, "b": {"c": 1, "d": 2}}, "l": [3], "wiped": None, "kept": {"x": 1}}
    assert read(["a.yaml", "file:b.yaml"]) == (merged, [])


def test_an_empty_file_changes_nothing(write: Any) -> None:
    write("a.yaml", "a: 1\n")
    write("empty.yaml", "# nothing\n")
    assert read(["a.yaml", "empty.yaml"]) == ({"a": 1}, [])


def test_positions_survive_the_merge(write: Any) -> None:
    write("a.yaml", "m:\n  a: 1\n  b: 1\n")
    write("b.yaml", "\n\nm:\n  b: 2\n")
    problems: list[Problem] = []
    node = read_sources(["a.yaml", "b.yaml"], ["m.c=3"], problems)
    assert locate(node, ("m", "a")) == Position("a.yaml", 2, 3)
    assert locate(node, ("m", "b")) == Position("b.yaml", 4, 3)
    assert str(locate(node, ("m", "c"))) == "--set m.c"


def test_env_and_yaml_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRA", "a: {b: 1}")
    assert read(["env:EXTRA", "yaml:a::c: [2]", "yaml:{a: {d::e: 3}}"]) == (
        {"a": {"b": 1, "c": [2], "d": {"e": 3}}},
        [],
    )


@pytest.mark.parametrize(
    ("override", "tree"),
    [
        (
            "receivers.otlp.protocols.grpc.endpoint=:4317",
            {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": ":4317"}}}}},
        ),
        ("exporters.sqlite/second.path=/data/x.db", {"exporters": {"sqlite/second": {"path": "/data/x.db"}}}),
        ("exporters::sqlite/v1.5::path=x=y", {"exporters": {"sqlite/v1.5": {"path": "x=y"}}}),
        ("service.extensions=[a, b]", {"service": {"extensions": ["a", "b"]}}),
        ("a.b={c: 1}", {"a": {"b": {"c": 1}}}),
        ("a.b=12", {"a": {"b": 12}}),
        ("a.b=", {"a": {"b": None}}),
    ],
)
def test_set(override: str, tree: Any) -> None:
    assert read([], [override]) == (tree, [])


def test_set_is_applied_after_all_sources_and_in_order(write: Any) -> None:
    write("a.yaml", "a: {b: 1, c: 1}\n")
    assert read(["a.yaml"], ["a.b=2", "a.b=3"]) == ({"a": {"b": 3, "c": 1}}, [])


@pytest.mark.parametrize("override", ["a.b", "=1", "a..b=1", ".a=1"])
def test_a_malformed_set(override: str) -> None:
    assert read([], [override])[1] == [f"--set {override.split('=')[0]}: write it as path.to.key=value"]


def test_what_cannot_be_read_is_reported_source_by_source(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    write("list.yaml", "- a\n")
    write("broken.yaml", "a: [\n")
    _, problems = read(["gone.yaml", "env:NOWHERE", "ftp://x", "list.yaml", "broken.yaml"])
    assert problems[:4] == [
        "gone.yaml: cannot be read: No such file or directory",
        "env:NOWHERE: the environment variable is not set",
        '--config ftp:…: unknown scheme "ftp:" (valid: file:, env:, yaml: or a path)',
        "broken.yaml:2: not valid YAML: did not find expected node content, while parsing a flow node",
    ]
    assert problems[4] == "list.yaml:1: a configuration is a map, got a list"


def test_a_file_that_is_not_utf8(tmp_path: Any) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: \xe9\n")
    assert read([str(path)])[1] == [f"{path}: is not UTF-8 text (byte 3)"]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Any) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read([str(path)]) == ({"a": 1}, [])


@pytest.mark.parametrize("source", ["", "file:"])
def test_a_source_that_names_nothing(source: str) -> None:
    assert read([source]) == ({}, ["--config: names nothing: write --config path.yaml"])
