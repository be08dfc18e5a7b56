"""Counts tokens of observations that came without usage, with vocabularies from local files."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.extensions.tokenizers.config import TokenizersConfig

FACTORY = Factory(
    kind=Kind.EXTENSION,
    type="tokenizers",
    config=TokenizersConfig,
    create=lazy("openfuse_collector.extensions.tokenizers.extension:Tokenizers"),
    metrics={
        "openfuse_tokenizer_tokens": "Tokens counted in place of a usage nobody gave.",
        "openfuse_tokenizer_skipped": "Observations whose tokens could not be counted.",
    },
)
