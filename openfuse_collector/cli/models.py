"""`models`: which entry of the price tables a model name has, which tier applies and why, and what usage costs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from openfuse_collector.cli.options import config_options, load_config

if TYPE_CHECKING:
    from rich.table import Table

    from openfuse_collector.pricing.catalogue import Catalogue
    from openfuse_collector.pricing.model import Model, Tier

MILLION = 10**6

_EITHER = "Repeatable, or several in one, separated by commas."


def _texts(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    """The pairs of a repeatable option, `key=value,key=value`."""
    pairs: dict[str, str] = {}
    for part in (part for value in values for part in value.split(",") if part):
        key, equals, text = part.partition("=")
        if not key or not equals:
            raise click.BadParameter(f'"{part}" is not of the form key=value', ctx, param)
        pairs[key] = text
    return pairs


def _counts(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> dict[str, float]:
    """The same, with counts of units for values."""
    return {key: _count(text, ctx, param) for key, text in _texts(ctx, param, values).items()}


def _count(text: str, ctx: click.Context, param: click.Parameter) -> float:
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if not math.isfinite(count) or count < 0:
        raise click.BadParameter(f'"{text}" is not a count of units', ctx, param)
    return int(count) if count.is_integer() else count


@click.group()
def models() -> None:
    """Look into the price tables."""


@models.command("match")
@click.argument("name")
@click.option("--project", default="default", show_default=True, help="The project whose own models come first.")
@click.option("--usage", multiple=True, callback=_counts, help=f"Units, such as input=1000,output=20. {_EITHER}")
@click.option(
    "--parameter", multiple=True, callback=_texts, help=f"Model parameters, such as service_tier=flex. {_EITHER}"
)
@click.option("--metadata", multiple=True, callback=_texts, help=f"Metadata, such as region=us. {_EITHER}")
@config_options
def match_command(
    name: str,
    project: str,
    usage: dict[str, float],
    parameter: dict[str, str],
    metadata: dict[str, str],
    sources: tuple[str, ...],
    sets: tuple[str, ...],
) -> None:
    """Show how the model NAME is priced. Exits with 1 when no table has it."""
    catalogue = _catalogue(sources, sets)
    record = _record(project, name, usage, parameter, metadata)
    model = catalogue.match(project, name, record["start_time"])
    if model is None:
        click.echo(f'no price table has an entry for "{name}"', err=True)
        sys.exit(1)
    _print_match(model, catalogue, record)


@models.command("list")
@click.argument("filter", default="")
@click.option("--project", help="Show this project's own models too.")
@config_options
def list_command(filter: str, project: str | None, sources: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """List entries, best first; with FILTER those with this text in their name or pattern."""
    table = _table("name", ("input", 1), ("output", 1), "tiers", "table", "pattern", caption="USD per million units")
    wanted = filter.lower()
    for model in _catalogue(sources, sets).models(project):
        if wanted in model.name.lower() or wanted in model.match.lower():
            prices = [_per_million(model.default, key) for key in ("input", "output")]
            table.add_row(model.name, *prices, str(1 + len(model.tiers)), _origin(model), model.match)
    if not table.row_count:
        click.echo(f'no entry with "{filter}" in its name or pattern', err=True)
        sys.exit(1)
    _print(table)


def _catalogue(sources: Sequence[str], sets: Sequence[str]) -> Catalogue:
    """The tables of the configuration's `pricing` extension; without options the built-in one."""
    from openfuse_collector.extensions.pricing.config import PricingConfig
    from openfuse_collector.extensions.pricing.extension import catalogue_of

    extensions: Mapping[Any, Any] = load_config(sources, sets).extensions if sources or sets else {}
    configured = (config for config in extensions.values() if isinstance(config, PricingConfig))
    return catalogue_of(next(configured, PricingConfig()))


def _record(
    project: str, name: str, usage: dict[str, float], parameters: dict[str, str], metadata: dict[str, str]
) -> dict[str, Any]:
    """An observation as pricing takes it."""
    if usage:
        usage.setdefault("total", sum(usage.values()))
    return {
        "project_id": project,
        "provided_model_name": name,
        "start_time": time.time_ns() // MILLION,
        "usage_details": usage,
        "provided_cost_details": {},
        "model_parameters": parameters,
        "metadata": metadata,
    }


def _print_match(model: Model, catalogue: Catalogue, record: dict[str, Any]) -> None:
    from openfuse_collector.pricing.observation import price
    from openfuse_collector.pricing.tiers import tier_for

    name, usage = record["provided_model_name"], record["usage_details"]
    others = [other for other in catalogue.matches(record["project_id"], name) if other is not model]
    click.echo(f'"{name}" is priced by the entry "{model.name}" ({model.id}), table: {_origin(model)}')
    click.echo(f"pattern: {model.match}" if model.match else "found by its name")
    for other in others:
        click.echo(f'passed over: "{other.name}" ({other.id}), table: {_origin(other)}')
    tier = tier_for(model, usage, record)
    if model.tiers:
        _print(_tiers_table(model, tier, record))
    priced = price(record, catalogue)
    _print(_cost_table(tier, usage, priced["cost_details"]))


def _tiers_table(model: Model, chosen: Tier, record: dict[str, Any]) -> Table:
    """Each tier in the order tried, with what each of its conditions came to."""
    table = _table("tier", "applies", "why", caption="the first tier whose conditions all hold applies")
    for tier in (*model.tiers, model.default):
        reasons = [_reason(condition, record) for condition in tier.conditions] or ["applies when no other does"]
        table.add_row(tier.name, "yes" if tier is chosen else "", "\n".join(reasons))
    return table


def _reason(condition: Any, record: dict[str, Any]) -> str:
    from openfuse_collector.pricing.model import UsageCondition
    from openfuse_collector.pricing.tiers import attribute, holds, units

    if isinstance(condition, UsageCondition):
        wanted = f"usage keys with /{condition.pattern}/ {_SIGNS[condition.operator]} {condition.value:,.15g}"
        found = f"they sum to {units(condition, record['usage_details']):,}"
    else:
        wanted = f"{condition.source}.{condition.key} in {', '.join(condition.values)}"
        value = attribute(record[condition.source], condition.key)
        found = "it is not set" if value is None else f"it is {value}"
    return f"{'+' if holds(condition, record['usage_details'], record) else '-'} {wanted}: {found}"


_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "neq": "is not"}


def _cost_table(tier: Tier, usage: dict[str, float], costs: Mapping[str, float]) -> Table:
    """Cost by usage key; without usage, what each key would cost."""
    if not usage:
        table = _table("usage key", ("USD per million", 1), caption=f"prices of the tier {tier.name}")
        for key in tier.prices:
            table.add_row(key, _per_million(tier, key))
        return table
    table = _table(
        "usage key", ("units", 1), ("USD per million", 1), ("USD", 1), caption=f"cost by the tier {tier.name}"
    )
    for key, count in usage.items():
        price = _per_million(tier, key) or ("sum" if key == "total" and costs else "no price")
        table.add_row(key, f"{count:,}", price, _dollars(costs.get(key)))
    return table


def _dollars(value: float | None) -> str:
    return "" if value is None else f"{value:.12f}".rstrip("0").rstrip(".")


def _per_million(tier: Tier, key: str) -> str:
    from openfuse_collector.pricing.money import decimal_dollars

    return f"{decimal_dollars(tier.prices[key], MILLION):f}" if key in tier.prices else ""


def _origin(model: Model) -> str:
    from openfuse_collector.pricing.built_in import built_in_models

    if any(model is built_in for built_in in built_in_models()):
        return "built-in"
    if not model.match:
        return "genai-prices"
    return f"project {model.project}" if model.project else "configuration"


def _table(*titles: str | tuple[str, int], caption: str) -> Table:
    """A table in the style of the other commands; a title in a pair with 1 is a column of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, caption=caption, caption_justify="left")
    for title in titles:
        table.add_column(
            title if isinstance(title, str) else title[0], justify="left" if isinstance(title, str) else "right"
        )
    return table


def _print(table: Table) -> None:
    from openfuse_collector.cli.views.screen import console

    console().print(table)
