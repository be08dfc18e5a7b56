"""Which components the registry offers, and which of them a table of checks has forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openfuse_collector.component import Kind
from openfuse_collector.components import Offer

Component = tuple[Kind, str]


def own(found: Iterable[Offer]) -> set[Component]:
    """The components of this distribution; plug-ins that happen to be installed are checked by whoever wrote them."""
    return {(offer.kind, offer.type) for offer in found if offer.target.startswith("openfuse_collector.")}


def forgotten(
    registered: set[Component], checked: Mapping[Component, object], exempt: Mapping[Component, str]
) -> list[Component]:
    """Registered without a check or a reason; or checked, or excused, without being registered; or both at once."""
    return sorted((registered ^ (checked.keys() | exempt.keys())) | (checked.keys() & exempt.keys()))
