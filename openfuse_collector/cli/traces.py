"""`openfuse-collector traces`: what the store holds, as a list or as the waterfall of one trace."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from openfuse_collector.cli.options import format_option, load_config
from openfuse_collector.cli.since import Since
from openfuse_collector.cli.stores import choose, store_options
from openfuse_collector.cli.views import store
from openfuse_collector.cli.views.store import Filter, Rollup, StoreError, Trace
from openfuse_collector.events.text import clean, cleaned

JSON_COLUMNS = frozenset(
    {
        "tags",
        "metadata",
        "model_parameters",
        "usage_details",
        "cost_details",
        "provided_usage_details",
        "provided_cost_details",
        "tool_definitions",
        "tool_calls",
        "tool_call_names",
    }
)
"""Columns that hold JSON text by definition; input and output may hold any text and stay as they are."""

FLAGS = frozenset(("bookmarked", "public", "is_deleted"))
"""Booleans, which SQLite keeps as 0 and 1."""


@click.command()
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Traces to list.")
@click.option("--project", help="Only traces of this project.")
@click.option("--session", help="Only traces of this session.")
@click.option("--user", help="Only traces of this user.")
@click.option("--name", help="Only traces whose name contains this, ignoring case.")
@click.option("--environment", help="Only traces of this environment.")
@click.option("--since", type=Since(), help="Only traces younger than this: 15m, 2h, 1d, or an ISO 8601 time.")
@click.option(
    "--lines",
    type=click.IntRange(0),
    default=12,
    show_default=True,
    help="Lines of input and of output to show with ID.",
)
@format_option
@store_options
def traces(
    trace_id: str | None,
    path: Path | None,
    exporter: str | None,
    sources: tuple[str, ...],
    sets: tuple[str, ...],
    limit: int,
    lines: int,
    form: str,
    **filters: Any,
) -> None:
    """Show the newest traces, or with ID (the beginning of one is enough) the waterfall of that trace.

    Reads the store without locking it; the collector may be running.
    """
    # Bytes that are no UTF-8 come from a command line as lone surrogates, which no store has.
    wanted = Filter(**cleaned(filters))
    file = path or _file(exporter, sources, sets)
    try:
        with store.open_store(file) as connection:
            if trace_id is not None:
                trace = store.find_trace(connection, clean(trace_id), wanted.project)
                _SHOW_ONE[form](connection, trace, lines)
            else:
                found = store.newest_traces(connection, wanted, limit)
                _SHOW_MANY[form](found, store.rollups(connection, found))
                if not found:
                    click.echo(f"no trace in {file} " + ("yet" if wanted == Filter() else "matches"), err=True)
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _file(exporter: str | None, sources: Sequence[str], sets: Sequence[str]) -> Path:
    """The SQLite store of the configuration."""
    type, settings = choose(load_config(sources, sets), None, exporter)
    if type != "sqlite":
        raise click.UsageError(
            f"traces reads SQLite, and the store of this configuration is {type}: name a file with --store, "
            "or look with Openfuse or the queries of docs/queries.md"
        )
    return Path(settings.path)


def _list_table(found: Sequence[Trace], sums: dict[tuple[str, str], Rollup]) -> None:
    from openfuse_collector.cli.views import screen, table

    console = screen.console()
    if found:
        lines = table.trace_lines(found, sums, console.width, glyphs=screen.glyphs_for(console))
        screen.print_lines(console, lines)


def _list_json(found: Sequence[Trace], sums: dict[tuple[str, str], Rollup]) -> None:
    _print_json(
        [{**_decoded(vars(trace)), **_totals(sums.get((trace.project_id, trace.id), Rollup()))} for trace in found]
    )


def _one_waterfall(connection: sqlite3.Connection, trace: Trace, lines: int) -> None:
    from openfuse_collector.cli.views import screen
    from openfuse_collector.cli.views.waterfall import content, heading, waterfall

    observations = store.observations_of(connection, trace)
    sums = store.rollups(connection, [trace]).get((trace.project_id, trace.id), Rollup())
    scores = store.scores_of(connection, trace)
    console = screen.console()
    width, glyphs = console.width, screen.glyphs_for(console)
    screen.print_lines(console, heading(trace, sums, scores, None, width, glyphs))
    console.print()
    screen.print_lines(console, waterfall(observations, width, glyphs))
    screen.print_lines(console, content(trace, width, lines, glyphs))


def _one_json(connection: sqlite3.Connection, trace: Trace, lines: int) -> None:
    rows = {
        table: [_decoded(row) for row in store.every_column(connection, table, trace)]
        for table in ("traces", "observations", "scores")
    }
    _print_json({**rows["traces"][0], "observations": rows["observations"], "scores": rows["scores"]})


_SHOW_MANY = {"table": _list_table, "json": _list_json}
_SHOW_ONE = {"table": _one_waterfall, "json": _one_json}


def _totals(sums: Rollup) -> dict[str, Any]:
    return {
        "observations": sums.observations,
        "latency_ms": sums.latency,
        "usage": {"input": sums.input_tokens, "output": sums.output_tokens, "total": sums.total_tokens},
        "total_cost": sums.cost,
        "level": sums.level,
        "errors": sums.errors,
    }


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """JSON columns as values, flags as booleans."""
    return {
        column: _value(value)
        if column in JSON_COLUMNS
        else bool(value)
        if column in FLAGS and value is not None
        else value
        for column, value in row.items()
    }


def _value(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _print_json(value: Any) -> None:
    """ASCII escapes, so that any terminal and any pipe can take it."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")
