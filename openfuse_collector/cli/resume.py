"""Where a long rebuild goes on after it was stopped: a small file, written after every page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from openfuse_collector.store.operations import Position, Rebuilding


class Resume:
    """The place kept in a file, or with None nowhere. Raises ClickException for a file that is about another rebuild."""

    def __init__(self, path: Path | None, about: Mapping[str, Any], since: int | None) -> None:
        self._path = path
        self._about = dict(about)
        self.since = since
        """As the rebuild began: `--since 1d` is another time whenever it is said."""
        self.position: Position | None = None
        """Behind the last page that was done; None to begin at the front."""
        if path is not None and path.exists():
            self.position, self.since = self._read(path)

    def kept(self, made: Rebuilding, shares: Iterable[float]) -> Iterator[float]:
        """The shares; after each, the file says how far the work is."""
        for share in shares:
            if self._path is not None and made.reached is not None:
                self._write(self._path, made.reached)
            yield share

    def done(self) -> None:
        """The work has come to its end: the next begins at the front."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[Position, int | None]:
        try:
            kept = json.loads(path.read_text())
            about, position, since = kept["about"], kept["position"], kept["since"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise click.ClickException(f"{path} cannot be used to resume: {error}; remove it to begin anew") from error
        if about != self._about or not isinstance(position, list):
            raise click.ClickException(
                f"{path} is about another rebuild ({_said(about)}): give the same options, or remove it to begin anew"
            )
        return position, since

    def _write(self, path: Path, position: Position) -> None:
        """Replaced whole: a crash leaves the older place, from where everything is judged once more."""
        beside = path.with_name(f"{path.name}.new")
        try:
            beside.write_text(json.dumps({"about": self._about, "since": self.since, "position": position}))
            beside.replace(path)
        except OSError as error:
            raise click.ClickException(f"the place cannot be kept in {path}: {error.strerror}") from error


def _said(about: Any) -> str:
    if not isinstance(about, dict):
        return "unreadable"
    return ", ".join(f"{key} {value}" for key, value in about.items() if value not in (None, False))
