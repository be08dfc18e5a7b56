"""Price tables of one's own, beside or instead of the built-in one."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.extensions.pricing.extension import Pricing

FACTORY = Factory(kind=Kind.EXTENSION, type="pricing", config=PricingConfig, create=Pricing)
