"""The machine that moves batches: reads the journal, runs processors and connectors, retries exporters, moves cursors."""
