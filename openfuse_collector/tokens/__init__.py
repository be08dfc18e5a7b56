"""Token counts of texts, for observations whose sender gave no usage. Vocabularies are local files; nothing is downloaded.

`TokenCounter` counts one value, `count_usage` is the enrichment step. See docs/tokens.md.
"""

from openfuse_collector.tokens.counter import TokenCounter, Uncountable
from openfuse_collector.tokens.usage import count_usage
from openfuse_collector.tokens.vocabulary import Vocabularies

__all__ = ["TokenCounter", "Uncountable", "Vocabularies", "count_usage"]
