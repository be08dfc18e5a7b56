"""From a model name to its entry in the price tables: a project's own, those configured for all, the built-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

from openfuse_collector.pricing.built_in import built_in_models
from openfuse_collector.pricing.model import Model
from openfuse_collector.pricing.patterns import compiled

LONGEST_NAME: Final = 1024
"""Characters. Longer names match nothing: patterns with several `.*` take time that grows with a power of the length."""

CACHED_NAMES: Final = 8192
"""Names whose entry is remembered. Beyond, all are forgotten at once: finding one again costs some ten microseconds."""

_FOLDED: Final = {0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k"}
"""The letters beyond ASCII that a case-insensitive pattern takes for ASCII ones."""

Elsewhere = Callable[[str, int | None], Model | None]
"""(model name, start of the observation in epoch milliseconds) -> entry, asked for names no table has."""


class Catalogue:
    """Price tables in their order of precedence. Cheap to make: the built-in table is read when a name is first looked up."""

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        built_in: Callable[[], Sequence[Model]] = built_in_models,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._own: dict[str | None, list[Model]] = {}
        for model in newest_first(models):
            self._own.setdefault(model.project, []).append(model)
        self._built_in = built_in
        self._elsewhere = elsewhere
        self._found: dict[tuple[str | None, str], Model | None] = {}

    def match(self, project_id: str, model_name: str | None, at: int | None = None) -> Model | None:
        """The entry for a model name exactly as sent, None when no table has one or the name is empty.

        `at`, epoch milliseconds, is for sources beyond the tables whose prices depend on the day.
        """
        if not model_name or len(model_name) > LONGEST_NAME:
            return None
        key = (project_id if project_id in self._own else None, model_name)
        try:
            found = self._found[key]
        except KeyError:
            found = self._remember(key)
        if found is None and self._elsewhere is not None:
            return self._elsewhere(model_name, at)
        return found

    def matches(self, project_id: str | None, model_name: str) -> Iterator[Model]:
        """Every entry whose pattern finds the name, best first. `match` gives the first of them."""
        if not model_name or len(model_name) > LONGEST_NAME:
            return
        folded = model_name.translate(_FOLDED).lower()
        for model in self.models(project_id):
            if model.needles and not any(map(folded.__contains__, model.needles)):
                continue
            if compiled(model.match).search(model_name):
                yield model

    def models(self, project_id: str | None = None) -> Iterator[Model]:
        """Every entry a project can get, best first."""
        own = self._own.get(project_id, ()) if project_id is not None else ()
        return chain(own, self._own.get(None, ()), self._table)

    @cached_property
    def _table(self) -> list[Model]:
        return newest_first(self._built_in())

    def _remember(self, key: tuple[str | None, str]) -> Model | None:
        if len(self._found) >= CACHED_NAMES:
            self._found.clear()
        found = self._found[key] = next(self.matches(*key), None)
        return found


def newest_first(models: Iterable[Model]) -> list[Model]:
    """By start date, latest first, those without one last; else in the order given."""
    return sorted(models, key=lambda model: model.start or "", reverse=True)
