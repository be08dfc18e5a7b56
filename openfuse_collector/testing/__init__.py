"""For whoever writes a component: checks that it keeps the contract of docs/extending.md. Import what is named here."""

from openfuse_collector.testing import numbered
from openfuse_collector.testing.answers import Answer, Answers, RandomExporter, RandomIntake
from openfuse_collector.testing.contract import Reply, check_connector, check_exporter, check_processor, check_receiver
from openfuse_collector.testing.lifecycle import check_lifecycle
from openfuse_collector.testing.machine import Surroundings

__all__ = [
    "Answer",
    "Answers",
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
