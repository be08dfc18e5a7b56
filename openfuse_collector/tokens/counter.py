"""Tokens of a value: its texts, their vocabulary, the cache before it and the bound on what is looked at."""

from __future__ import annotations

from typing import Any, Literal

from openfuse_collector.pricing.model import Tokenizer
from openfuse_collector.tokens.cache import CountCache
from openfuse_collector.tokens.encodings import encoding_name
from openfuse_collector.tokens.texts import texts_of
from openfuse_collector.tokens.vocabulary import Vocabularies

Reason = Literal["too_long", "no_vocabulary", "not_encodable"]


class Uncountable(Exception):
    """A value has tokens, and nobody here can say how many."""

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(reason)


class TokenCounter:
    """Counts in place, on the thread that calls; encoding lets go of the GIL, so other threads run on."""

    def __init__(self, vocabularies: Vocabularies, max_characters: int, cache_size: int) -> None:
        self._vocabularies = vocabularies
        self._max_characters = max_characters
        self._cache = CountCache(cache_size)

    def count(self, tokenizer: Tokenizer, value: Any) -> int | None:
        """Tokens of a text or a JSON value. None for null, an empty list, and a tokenizer of unknown name.

        Raises Uncountable for what is longer than the bound, lacks a vocabulary or cannot be encoded. Depends on
        arguments, vocabulary files and bound alone: neither the cache nor time has a say in it.
        """
        if value is None or value == []:
            return None
        encoding = encoding_name(tokenizer)
        if encoding is None:
            return None
        self._check(value)
        texts, framing = texts_of(tokenizer, value)
        return framing + sum(self._tokens(encoding, text) for text in texts)

    def _tokens(self, encoding: str, text: str) -> int:
        if not text:
            return 0
        count = self._cache.get(encoding, text)
        if count is None:
            count = self._encoded(encoding, text)
            self._cache.put(encoding, text, count)
        return count

    def _encoded(self, encoding: str, text: str) -> int:
        self._check(text)
        encoded = self._vocabularies.get(encoding)
        if encoded is None:
            raise Uncountable("no_vocabulary")
        try:
            return encoded(text)
        except ValueError as error:
            raise Uncountable("not_encodable") from error

    def _check(self, value: Any) -> None:
        if isinstance(value, str) and len(value) > self._max_characters:
            raise Uncountable("too_long")
