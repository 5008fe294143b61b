"""Words of a person's archive as people say them: the law asks for plain language (GDPR article 12(1))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipelines.report_labels import begun, period, plain

CATEGORIES: Final = {
    "envelope": "ids, types and times of events",
    "metadata": "who communicated when, with whom, from where",
    "identifier.pseudonymous": "numbers that stand for a person, under a pseudonym",
    "identifier.meeting": "which meeting, under a pseudonym",
    "identifier.tenant": "which customer account, under a pseudonym",
    "identifier.direct": "names, addresses, numbers, labels of devices, cut short or under a pseudonym",
    "secret": "passwords and keys",
    "service.telemetry": "measurements of the service",
    "service.diagnostics": "faults and their causes",
    "service.usage": "which features are used",
}
_KINDS: Final = {"identity": "names, addresses, numbers, labels of devices"}
_RECIPIENTS: Final = {
    "first_party": "the controller itself",
    "processor": "a processor",
    "third_party": "a third party",
}
_CLOSED: Final = {
    "NOT_THEIRS_ALONE": "others may be in it (NOT_THEIRS_ALONE)",
    "EVENT_NOT_KNOWN": "nobody can tell whose it is alone (EVENT_NOT_KNOWN)",
}

__all__ = ["bases", "category", "kind", "period", "purpose", "recipient", "why_closed"]


def category(name: str) -> str:
    """A classification in words; one that is not known stays as it is."""
    return CATEGORIES.get(name, name)


def kind(name: str) -> str:
    """A kind of content in words."""
    return _KINDS.get(name) or plain(name)


def recipient(name: str) -> str:
    """A kind of recipient in words."""
    return _RECIPIENTS.get(name) or plain(name)


def why_closed(code: str) -> str:
    """Why an item stays closed, in words and by its code."""
    return _CLOSED.get(code, code)


def purpose(name: str, *, begins: bool = False) -> str:
    """A purpose's name in words, as it begins a cell or stands in a line."""
    return begun(name) if begins else plain(name)


def bases(by_region: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Lawful bases, each with the regions where it holds."""
    regions: dict[str, list[str]] = {}
    for region, basis in by_region.items():
        regions.setdefault(basis, []).append(titles.get(region, region))
    return "; ".join(f"{plain(basis)}: {', '.join(places)}" for basis, places in regions.items())
