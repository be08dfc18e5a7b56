"""The collector's telemetry of itself: Prometheus metrics and structured logs."""
