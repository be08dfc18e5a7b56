"""`python -m openfuse_collector`: the command, for where its script is not on the path."""

from openfuse_collector.cli import main

if __name__ == "__main__":
    main(prog_name="openfuse-collector")
