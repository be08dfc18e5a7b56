"""The GenAI vocabularies: spans in, Langfuse events out. Pure functions and tables; no I/O, no clock, no global state."""
