"""What lies sealed, for how long, what was opened and what was destroyed."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import IDENTITY_KIND, REJECTED_KIND, SECRET_KIND
from schemas.consent_sets import NEGATIVE_STATUSES, POSITIVE_STATUSES
from schemas.tables import (
    CONSENT_RECORDS,
    OPENINGS,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RECALLS,
    TOMBSTONES,
)
from transforms.records_seen import claims_earlier
from transforms.report_view import StoreView
from transforms.row_digests import digests
from transforms.spilled_rows import KEY, Rows, Spill, parts_for

AGES: Final = ((0, "0 to 7 days"), (8, "8 to 30 days"), (31, "31 to 90 days"), (91, "over 90 days"))
"""Youngest age in days of each class, and its name."""

ITEMS: Final = "items"
PIECES: Final = (ITEMS, IDENTITY_KIND, SECRET_KIND, REJECTED_KIND)
"""What a piece of ciphertext can hold."""

NOT_DATED: Final = "not dated"
_NO_DAY: Final = -(1 << 31)
_EPOCH: Final = date(1970, 1, 1)
RELEASE_GROUND: Final = "release"
NOT_NOTED: Final = "not noted"


@dataclass
class Sealed:
    """What lies sealed.

    Attributes:
        kinds: Items by kind.
        sizes: Their padded bytes by kind.
        ages: Items by class of age.
        overdue: Items that are too old.
        keys: Keys by what they cover.
        vaults: Vault keys that bundle keys are wrapped to.
        schemes: Blobs by format.
        pieces: Blobs by what is in them, see `PIECES`.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    overdue: int = 0
    keys: Counter[str] = field(default_factory=Counter)
    vaults: set[bytes] = field(default_factory=set)
    schemes: Counter[str] = field(default_factory=Counter)
    pieces: Counter[str] = field(default_factory=Counter)


def read_sealed(view: StoreView, as_of: datetime, live_days: int) -> Sealed:
    """Count what lies sealed.

    Args:
        view: The store.
        as_of: Instant to which ages are counted.
        live_days: Days that an item may lie.
    """
    found = Sealed()
    for rows in view.scan(QUARANTINE_ITEMS, ["kind", "size_class"]):
        for row in rows.group_by("kind").aggregate([("kind", "count"), ("size_class", "sum")]).to_pylist():
            found.kinds[row["kind"]] += row["kind_count"]
            found.sizes[row["kind"]] += row["size_class_sum"] or 0
    for rows in view.scan(QUARANTINE_BLOBS, ["scheme", "kind"]):
        found.schemes.update(rows.column("scheme").to_pylist())
        found.pieces.update(kind if kind in PIECES else ITEMS for kind in rows.column("kind").to_pylist())
    for rows in view.scan(QUARANTINE_KEYS, ["covers", "wrapping_key_id"]):
        found.keys.update(rows.column("covers").to_pylist())
        bundles = rows.filter(pc.equal(rows.column("covers"), "bundle"))
        found.vaults.update(pc.unique(bundles.column("wrapping_key_id")).to_pylist())
    for created, items in _items_by_day(view):
        days = None if created is None else (as_of.date() - created).days
        found.ages[_age(days)] += items
        found.overdue += items if days is not None and days > live_days else 0
    return found


def _age(days: int | None) -> str:
    if days is None:
        return NOT_DATED
    return next((name for least, name in reversed(AGES) if days >= least), AGES[0][1])


def _items_by_day(view: StoreView) -> Iterator[tuple[date | None, int]]:
    """Items by the day on which the key that they are under was made."""
    with Spill() as spill:
        parts = parts_for(view.rows(QUARANTINE_KEYS))
        items, keys = spill.rows((), parts), spill.rows((("day", "<i4"),), parts)
        for rows in view.scan(QUARANTINE_ITEMS, ["key_id"]):
            items.add(digests([rows.column("key_id")]))
        for rows in view.scan(QUARANTINE_KEYS, ["key_id", "created"]):
            days = pc.fill_null(rows.column("created").cast(pa.date32()).cast(pa.int32()), _NO_DAY)
            keys.add(digests([rows.column("key_id")]), day=days.to_numpy())
        for number in range(parts):
            yield from _of_part(keys.whole(number), items.part(number))


def _of_part(keys: Rows, items: Iterator[Rows]) -> Iterator[tuple[date | None, int]]:
    known, places = np.unique(keys[KEY], return_index=True)
    days = np.append(keys["day"][places], np.int32(_NO_DAY))
    for rows in items:
        found = np.searchsorted(known, rows[KEY])
        there = np.isin(rows[KEY], known)
        for day, number in zip(*np.unique(days[np.where(there, found, -1)], return_counts=True), strict=True):
            yield None if day == _NO_DAY else _EPOCH + timedelta(int(day)), int(number)


def rejected_records(view: StoreView) -> int:
    """Refused records that lie sealed."""
    return sum(pc.sum(rows.column("last")).as_py() or 0 for rows in view.scan(QUARANTINE_REJECTED, ["last"]))


def read_openings(view: StoreView) -> Counter[tuple[str, str, str, str]]:
    """Openings by ground, outcome and purpose: how many, of how many items, and how many beside them."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    columns = ["ground", "outcome", "purpose", "item_ids", "beside"]
    for rows in view.scan(OPENINGS, columns, records=view.added(OPENINGS)):
        counted = rows.append_column("items", pc.list_value_length(rows.column("item_ids")))
        sums = [("ground", "count"), ("items", "sum"), ("beside", "sum")]
        by = ["ground", "outcome", "purpose"]
        for row in counted.drop_columns(["item_ids"]).group_by(by).aggregate(sums).to_pylist():
            key = (row["ground"], row["outcome"], row["purpose"])
            found[*key, "openings"] += row["ground_count"]
            found[*key, "items"] += row["items_sum"] or 0
            found[*key, "beside"] += row["beside_sum"] or 0
    return found


# --- what people said, and what was destroyed --------------------------------------------------------------


@dataclass
class Said:
    """What the records say that releases have read.

    Attributes:
        records: Records.
        status: By what they say.
        grantors: Trusted yeses by who said them.
        faults: Records that are not trusted, by reason.
        trusted_noes: Trusted noes.
        waits: Seconds from each trusted no until the first release that read it.
        passed_over: Noes that say that they had arrived when a release decided without them.
    """

    records: int = 0
    status: Counter[str] = field(default_factory=Counter)
    grantors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    trusted_noes: int = 0
    waits: array[int] = field(default_factory=lambda: array("q"))
    passed_over: int = 0


def read_said(view: StoreView) -> Said:
    """Count what the records say, over all releases."""
    found = Said()
    columns = ["status", "grantor", "fault", "event_time", "ingested_at", "first_seen", "unseen_by"]
    for rows in view.scan(CONSENT_RECORDS, columns):
        found.records += rows.num_rows
        for row in rows.group_by(columns[:3]).aggregate([([], "count_all")]).to_pylist():
            found.status[row["status"] or NOT_NOTED] += row["count_all"]
            if row["fault"] is not None:
                found.faults[row["fault"]] += row["count_all"]
            elif row["status"] in POSITIVE_STATUSES:
                found.grantors[row["grantor"]] += row["count_all"]
        for row in rows.filter(pc.field("status").isin(list(NEGATIVE_STATUSES))).to_pylist():
            _take_no(found, row)
    return found


def _take_no(found: Said, row: dict[str, Any]) -> None:
    found.passed_over += claims_earlier(row)
    if row["fault"] is None:
        found.trusted_noes += 1
        if row["event_time"] is not None and row["first_seen"] is not None:
            found.waits.append(max(0, int((row["first_seen"] - row["event_time"]).total_seconds())))


def share(waits: Sequence[int], percent: int) -> int | None:
    """The least of some times within which so many of 100 lie, None without any."""
    return sorted(waits)[-(-len(waits) * percent // 100) - 1] if waits else None


def destroyed_items(view: StoreView) -> Counter[str]:
    """Destroyed items by reason."""
    found: Counter[str] = Counter()
    for rows in view.scan(TOMBSTONES, ["reason"]):
        found.update(rows.column("reason").to_pylist())
    return found


def recall_rows(view: StoreView) -> list[dict[str, Any]]:
    """Exports that were recalled, with the number of items: one row for each export, kind and reason."""
    columns = ["run_id", "export_run_id", "purpose", "recipient", "reason", "item_ids", "as_of"]
    found: list[dict[str, Any]] = []
    for rows in view.scan(RECALLS, columns):
        counts = pc.list_value_length(rows.column("item_ids"))
        found += rows.drop_columns(["item_ids"]).append_column("items", counts).to_pylist()
    return found
