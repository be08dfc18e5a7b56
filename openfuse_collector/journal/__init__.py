"""The durable log between the receivers and the pipelines."""
