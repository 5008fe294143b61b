"""The record of processing (GDPR article 30) as CSV: a row for each purpose and region."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from validation.report_document import Report

COLUMNS: Final = (
    "controller",
    "purpose",
    "what is done",
    "region",
    "lawful basis",
    "article",
    "rule",
    "categories of people",
    "categories of data",
    "recipients",
    "customers who authorised it",
    "retention",
    "kept in, by the terms",
    "impact assessment",
    "items released",
    "copies now",
    "security",
    "as of",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def record_csv(report: Report) -> str:
    """The record of processing as CSV (RFC 4180).

    A cell that a spreadsheet would take for a formula gets an apostrophe: the registry's words are not ours.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in _rows(report):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(report: Report) -> Iterator[tuple[object, ...]]:
    record = report.processing
    controllers = "; ".join(f"{one.name}, {one.address}, {one.contact}" for one in report.header.controllers)
    subjects, security = "; ".join(record.subjects), " ".join(record.security)
    kept = "; ".join(
        dict.fromkeys(place for each in report.terms.versions for place in each.storage_locations)
    )
    for one in record.purposes:
        shared = (
            subjects,
            "; ".join(one.kinds) or "none released",
            "; ".join(one.recipients) or "none",
            one.tenants,
            one.retention,
            kept or "not stated",
            one.dpia or "none",
            one.items_released,
            one.items_now,
            security,
            report.header.as_of,
        )
        places = [(each.region, each.basis, each.article, each.rule) for each in one.basis]
        for place in places or [("", "", "", "")]:
            yield (controllers, one.purpose, one.title, *place, *shared)
