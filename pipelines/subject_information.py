"""What article 15(1) asks to be told beside the data: purposes, categories, recipients, storage, rights.

As far as the registry and the store know it; what only the controller can say is listed as missing, so that
nobody takes an empty line for an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas.registry import Registry
from schemas.tables import fact
from transforms.subject_search import Section

RIGHTS: Final = (
    ("Article 16", "to have what is wrong corrected"),
    ("Article 17", "to have it erased"),
    ("Article 18", "to have its use restricted"),
    ("Article 20", "to take what you provided elsewhere; the files are machine-readable for that"),
    ("Article 21", "to object to a use that rests on legitimate interests"),
    ("Article 7(3)", "to take back a consent at any time"),
    ("Article 77", "to complain to a supervisory authority"),
)
MISSING: Final = (
    "the contact of the data protection officer",
    "safeguards of transfers to other countries (article 46)",
    "data that is held in other systems, and in backups",
    "records that no contract could read: they are sealed whole, were read by nobody, and go by their age",
    "what others have said or written about you",
)
"""What neither registry nor store knows."""

_SEALED: Final = (
    "Sealed content is destroyed when its time to live ends (`cofferdam erase --all-due`, 30 days unless set "
    "otherwise), when no registered purpose can use it any more, or on request; a legal claim keeps it."
)
_AUTOMATED: Final = (
    "Whether content may be used for a purpose is decided automatically, by published rules, from the "
    "consent records of all who took part; `decisions` gives each decision with its reasons. It decides "
    "about the use of content and makes no profile of a person."
)


def information(
    registry: Registry, sections: Sequence[Section], kinds: Iterable[str], tenants: Iterable[str]
) -> dict[str, Any]:
    """The information of article 15(1) as JSON can hold it.

    Args:
        registry: Purposes and controllers.
        sections: What was found.
        kinds: Kinds of sealed content of the person.
        tenants: Registered tenants that the person was found in; of others nothing is told.
    """
    by_name = {section.name: section for section in sections}
    return {
        "controllers": _controllers(registry, tenants),
        "purposes": {
            name: {
                "title": entry.title,
                "lawful_basis_by_region": entry.basis,
                "copies_are_kept_for": entry.retention,
                "impact_assessment": entry.dpia,
            }
            for name, entry in sorted(registry.purposes.items())
        },
        "categories": {"data": _categories(sections), "sealed_content": sorted(set(kinds))},
        "recipients": _recipients(by_name),
        "storage": _SEALED,
        "source": _sources(sections),
        "automated_decisions": _AUTOMATED,
        "rights": [{"law": f"GDPR {law}", "right": right} for law, right in RIGHTS],
        "to_be_added_by_the_controller": list(MISSING),
    }


def _controllers(registry: Registry, tenants: Iterable[str]) -> list[dict[str, str]]:
    named = {registry.tenants[tenant].controller for tenant in tenants}
    parties = (party for name, party in sorted(registry.controllers.items()) if name in named)
    return [{"name": each.name, "address": each.address, "contact": each.contact} for each in parties]


def _categories(sections: Sequence[Section]) -> list[str]:
    found = {
        fact(column, "classification")
        for section in sections
        if isinstance(section.rows, pa.Table) and len(section)
        for column in section.rows.schema
    }
    return sorted(found - {""})


def _recipients(sections: Mapping[str, Section]) -> list[dict[str, Any]]:
    given = {
        (row["recipient"], row["purpose"], row["kind"])
        for name in ("released", "telemetry_exports")
        if name in sections
        for piece in sections[name].pieces()
        for row in piece
    }
    return [{"recipient": to, "purpose": purpose, "kind": kind} for to, purpose, kind in sorted(given)]


def _sources(sections: Sequence[Section]) -> list[str]:
    found: set[str] = set()
    for section in sections:
        if isinstance(section.rows, pa.Table) and "source" in section.rows.schema.names:
            found.update(section.rows.column("source").drop_null().unique().to_pylist())
    return sorted(found)
