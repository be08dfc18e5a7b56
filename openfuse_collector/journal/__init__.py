"""The durable log between the receivers and the pipelines."""

from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.journal.errors import JournalError, JournalLocked
from openfuse_collector.journal.files import Files, OsFiles
from openfuse_collector.journal.journal import Journal
from openfuse_collector.journal.makers import made_by
from openfuse_collector.journal.quotas import Quota
from openfuse_collector.journal.reader import Reader

__all__ = [
    "Files",
    "Journal",
    "JournalConfig",
    "JournalError",
    "JournalLocked",
    "OsFiles",
    "Quota",
    "Reader",
    "made_by",
]
