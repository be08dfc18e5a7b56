"""The event model: Langfuse ingestion envelopes, their identity and order, and the fold that turns them into rows."""
