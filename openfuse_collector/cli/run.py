"""`run`: load the configuration and be the collector until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import signal
import sys

import click

from openfuse_collector.cli.options import ConfigCommand, config_options, load_config


@click.command(cls=ConfigCommand)
@config_options
def run(sources: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Receive, journal, map and store until stopped.

    Without --config: OTLP on localhost:4317 and 4318, traces in ./openfuse.db.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    gc.disable()  # what is imported stays; looking for garbage among it is a tenth of the start. The service turns it on again
    config = load_config(sources, sets)
    from openfuse_collector import service  # the whole machine: nothing to import for a wrong configuration

    sys.exit(service.run(config))
