"""The `openfuse-collector` command: one module per subcommand, imported when it is called."""

from openfuse_collector.cli.main import main

__all__ = ["main"]
