"""Tells load balancers and orchestrators whether the collector takes data."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.extensions.health_check.config import HealthCheckConfig

FACTORY = Factory(
    kind=Kind.EXTENSION,
    type="health_check",
    config=HealthCheckConfig,
    create=lazy("openfuse_collector.extensions.health_check.extension:HealthCheck"),
)
