"""YAML to located nodes: lines and columns, typing, duplicate keys, merge keys, and texts that are no YAML."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.config.nodes import Node, Position, Problem, locate, nearest
from openfuse_collector.config.parse import parse, parse_value


def parsed(text: str) -> tuple[Node | None, list[str]]:
    problems: list[Problem] = []
    node = parse(text, "a.yaml", problems)
    return node, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("0x1F", 31),
        ("0123", 83),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("true", True),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("'12'", "12"),
        ("~", None),
        ("", None),
        ("!!str 12", "12"),
        ("{a: [1, x], b: {}}", {"a": [1, "x"], "b": {}}),
    ],
)
def test_values(text: str, value: Any) -> None:
    node, problems = parsed(text)
    assert node is not None
    assert node.plain() == value
    assert problems == []


def test_every_node_knows_its_line_and_column() -> None:
    node, _ = parsed("a:\n  b: 1\n  c:\n    - x\n    - y\n")
    assert node is not None
    assert locate(node, ("a", "b")) == Position("a.yaml", 2, 3)
    assert locate(node, ("a", "c")) == Position("a.yaml", 3, 3)
    assert locate(node, ("a", "c", "y")) == Position("a.yaml", 5, 7)
    assert locate(node, ("a", "missing", "deeper")) == Position("a.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 'a.yaml:3: the key "a" is already defined in line 1'),
        ("a: {x: 1,\n    x: 2}\n", 'a.yaml:2: the key "x" is already defined in line 1'),
        ("a: !env X", "a.yaml:1: the YAML tag !env is not supported"),
        ("a: &b [*b]", "a.yaml:1: an alias refers to the map or list it stands in"),
        ("[a]: 1", "a.yaml:1: a key must be text"),
        ("a: 1\n<<: 5\n", "a.yaml:2: << takes a map or a list of maps"),
    ],
)
def test_mistakes_that_leave_a_tree(text: str, problem: str) -> None:
    node, problems = parsed(text)
    assert node is not None
    assert problems == [problem]


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: 1", "--- 1\n--- 2", "a: \x01"])
def test_what_is_no_yaml_is_one_located_problem(text: str) -> None:
    node, problems = parsed(text)
    assert node is None
    assert len(problems) == 1
    assert "a.yaml" in problems[0]
    assert "not valid YAML" in problems[0]


def test_merge_keys_fill_in_what_is_not_written() -> None:
    node, problems = parsed("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\n")
    assert node is not None
    assert problems == []
    assert node.plain()["z"] == {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize("text", ["{unfinished", "@at", "# looks like a comment", "a: b: c", "!tag", "0123", "on", ""])
def test_a_variable_keeps_its_text(text: str) -> None:
    node = parse_value(text, Position("a.yaml", 3))
    assert node.text == text
    assert node.at == Position("a.yaml", 3)


def test_the_text_of_a_null_variable_is_gone() -> None:
    assert parse_value("null", Position("x")) == Node(None, Position("x"), None)


def test_nearest_says_nothing_when_nothing_is_near() -> None:
    assert nearest("grcp", ["http", "grpc"]) == ', did you mean "grpc"?'
    assert nearest("Endpoint", ["endpoint"]) == ', did you mean "endpoint"?'
    assert nearest("zzz", ["http", "grpc"]) == ""
