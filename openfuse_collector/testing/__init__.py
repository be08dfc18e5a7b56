"""For whoever writes a component: checks that it keeps the contract of docs/extending.md. Import what is named here."""

from openfuse_collector.testing import numbered
from openfuse_collector.testing.answers import Answer, Answers, RandomExporter, RandomIntake
from openfuse_collector.testing.exporters import check_exporter
from openfuse_collector.testing.lifecycle import check_lifecycle
from openfuse_collector.testing.machine import Surroundings
from openfuse_collector.testing.receivers import Partial, Reply, check_receiver
from openfuse_collector.testing.steps import check_connector, check_processor

__all__ = [
    "Answer",
    "Answers",
    "Partial",
    "RandomExporter",
    "RandomIntake",
    "Reply",
    "Surroundings",
    "check_connector",
    "check_exporter",
    "check_lifecycle",
    "check_processor",
    "check_receiver",
    "numbered",
]
