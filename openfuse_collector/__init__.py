"""openfuse-collector: OTLP and Langfuse SDKs in, Langfuse-style traces, observations and scores out."""

__version__ = "0.1.0"
