"""Objects with named fields: unknown keys are left out, absent ones stay absent, null stays null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openfuse_collector.receivers.langfuse.schemas.fields import DROP, Field
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, Issue, Path, wrong_type

Object = dict[str, Any]
Choice = Callable[[Object, Object, Path, list[Issue]], None]
"""(given, kept, path, issues): reads the fields whose type depends on another field."""
Rule = Callable[[Object, Path, list[Issue]], None]
"""(kept, path, issues): a rule over several fields, asked when each of them is right."""


class Schema:
    """Reads objects of one kind. Immutable."""

    __slots__ = ("_choice", "_fields", "_needed", "_rule")

    def __init__(self, fields: Mapping[str, Field], *, choice: Choice | None = None, rule: Rule | None = None) -> None:
        self._fields = dict(fields)
        self._needed = tuple(name for name, field in fields.items() if field.needed)
        self._choice = choice
        self._rule = rule

    def parse(self, value: Any, path: Path, issues: list[Issue]) -> Any:
        """The object with what the schema knows of it, DROP when it is none. Issues come in the order of the schema."""
        if type(value) is not dict:
            issues.append(wrong_type("object", value, path))
            return DROP
        before = len(issues)
        kept = self._read(value, path, issues)
        if len(issues) > before:
            del issues[before:]
            kept = self._read(self._ordered(value), path, issues)
        if self._choice is not None:
            self._choice(value, kept, path, issues)
        if self._rule is not None and len(issues) == before:
            self._rule(kept, path, issues)
        return kept

    def _read(self, given: Object, path: Path, issues: list[Issue]) -> Object:
        fields = self._fields
        kept: Object = {}
        for name, value in given.items():
            field = fields.get(name)
            if field is None:
                continue
            if type(value) not in field.plain:
                value = field.parse(value, (*path, name), issues)
                if value is DROP:
                    continue
            kept[name] = value
        for name in self._needed:
            if name not in given:
                value = fields[name].parse(MISSING, (*path, name), issues)
                if value is not DROP:
                    kept[name] = value
        return kept

    def _ordered(self, given: Object) -> Object:
        """The known keys in the order of the schema, absent ones that matter among them, so that issues come in that order."""
        return {name: given.get(name, MISSING) for name, field in self._fields.items() if name in given or field.needed}
