"""Tells load balancers and orchestrators whether the collector takes data."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.extensions.health_check.config import HealthCheckConfig
from openfuse_collector.extensions.health_check.extension import HealthCheck

FACTORY = Factory(kind=Kind.EXTENSION, type="health_check", config=HealthCheckConfig, create=HealthCheck)
