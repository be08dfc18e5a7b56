"""The command group: a table of subcommands, so that `--help` and each command import nothing they do not need.

Exit codes: 0 ok, 1 failed (a configuration with mistakes among them), 2 wrong usage.
"""

from __future__ import annotations

from importlib import import_module

import click

from openfuse_collector import __version__
from openfuse_collector.cli.streams import open_standard_streams

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("openfuse_collector.cli.run:run", "Receive, journal, map and store until stopped."),
    "validate": ("openfuse_collector.cli.validate:validate", "Check a configuration without starting anything."),
    "print-config": (
        "openfuse_collector.cli.print_config:print_config",
        "Print the configuration that would run, defaults included.",
    ),
    "components": ("openfuse_collector.cli.components:components", "List the component types that can be configured."),
    "map": ("openfuse_collector.cli.map:map_command", "Show what recorded spans become, without storing anything."),
    "rebuild": (
        "openfuse_collector.cli.rebuild:rebuild",
        "Make the rows of a store again from its raw events or kept spans.",
    ),
    "verify": ("openfuse_collector.cli.verify:verify", "Compare the rows of a store with its raw events."),
    "delete": ("openfuse_collector.cli.delete:delete", "Delete traces or a whole project from a store."),
    "retention": ("openfuse_collector.cli.retention:retention", "Remove what is older than the store's limits."),
    "rewind": ("openfuse_collector.cli.rewind:rewind", "Replay what the journal still has into the stores."),
    "schema": ("openfuse_collector.cli.schema:schema", "Print, apply or compare the schema of a GreptimeDB store."),
    "traces": ("openfuse_collector.cli.traces:traces", "Read stored traces."),
    "dead-letters": (
        "openfuse_collector.cli.dead_letters:dead_letters",
        "Look into what was refused for good, and replay it.",
    ),
    "replay-dead-letters": ("openfuse_collector.cli.dead_letters:replay", "The same as `dead-letters replay`."),
    "models": ("openfuse_collector.cli.models:models", "Look into the price tables."),
    "send": ("openfuse_collector.cli.send:send", "Replay recorded OTLP requests to a collector."),
}
"""Name -> (`module:command`, help)."""


class LazyGroup(click.Group):
    """A group whose commands are rows of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with a word on options that belong to a command; the OpenTelemetry Collector takes them without one."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in ("--config", "--set"):
                raise
            command = next((arg for arg in given if arg in COMMANDS), "run")
            hint = f"{error.option_name} comes after the command: openfuse-collector {command} {error.option_name} …"
            raise click.UsageError(hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list under `--help`, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command for a mistyped one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from openfuse_collector.config.nodes import nearest  # only needed when something is wrong

            hint = nearest(args[0], COMMANDS)
            raise click.UsageError(error.message.rstrip(".") + hint, ctx) if hint else error from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openfuse-collector", message="%(prog)s %(version)s")
def main() -> None:
    """A durable collector for GenAI telemetry: OTLP and Langfuse SDKs in, Langfuse-style traces out."""
    open_standard_streams()
