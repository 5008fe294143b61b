"""Which consent records a store has seen, and since when: one that comes late cannot say that it was there.

A record states itself when it was made and when it arrived. What the store adds is what it knows: which
release saw the record first, and which one before it did not. Nothing of this is ever changed or taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.consent_rows import read_time
from schemas.tables import CONSENT_RECORDS, FIXED_TABLES
from transforms.consent_intake import SightedRecord
from transforms.faults import value_free
from transforms.manifests import FileRecord, Snapshot
from transforms.meeting_joins import concat, shards_by
from transforms.parquet_files import TableWriter
from transforms.release_settings import ReleaseSettings
from transforms.store_files import open_files

_SCHEMA: Final = FIXED_TABLES[CONSENT_RECORDS]
_CLAIMS: Final = ("digest", "record_join", "event_time", "ingested_at", "status", "grantor", "fault")
SIGHTED_SCHEMA: Final = pa.schema([_SCHEMA.field(name) for name in _CLAIMS])
"""That a record was there, what it says of its times, and in one word each what it says and who says it."""

_DIGESTS: Final = pa.schema([_SCHEMA.field("digest")])


def sighted_table(records: Sequence[SightedRecord]) -> pa.Table:
    """Records that were read, as a table of `SIGHTED_SCHEMA`."""
    columns = zip(*records, strict=True) if records else ((),) * len(_CLAIMS)
    return pa.table([list(column) for column in columns], schema=SIGHTED_SCHEMA)


def last_release(snapshot: Snapshot, as_of: datetime) -> datetime | None:
    """Instant of the last release before another one, None if there was none."""
    ledgers = (run.facts["ledger"] for run in snapshot.manifests if run.facts.get("kind") == "release")
    found = (read_time(ledger["as_of"]) for ledger in ledgers)
    return max((time for time in found if time is not None and time <= as_of), default=None)


def first_seen(
    sighted: pa.Table, earlier: pa.Table, run_id: str, as_of: datetime, unseen_by: datetime | None
) -> pa.Table:
    """The rows of records that no release has seen before, each once.

    Args:
        sighted: Records that were read (`SIGHTED_SCHEMA`).
        earlier: Digests that are known.
        run_id: The run.
        as_of: Its instant.
        unseen_by: Instant of the last release before it.
    """
    known = set(earlier.column("digest").to_pylist())
    rows = []
    for row in sighted.sort_by("digest").to_pylist():
        if row["digest"] not in known:
            known.add(row["digest"])
            rows.append({**row, "run_id": run_id, "first_seen": as_of, "unseen_by": unseen_by})
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def claims_earlier(row: Mapping[str, Any]) -> bool:
    """Whether a record says that it arrived before a release that did not see it."""
    arrived, unseen_by = row["ingested_at"], row["unseen_by"]
    return arrived is not None and unseen_by is not None and arrived <= unseen_by


@dataclass
class NoteRecords(beam.PTransform[Any, Any]):
    """Note which records this release is the first to see."""

    settings: ReleaseSettings
    as_of: datetime

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """`sighted`: tables by shard; `starts`: anything -> FileRecord."""
        earlier = inputs["starts"] | "Earlier" >> beam.FlatMap(_earlier, self.settings)
        return (
            {"sighted": inputs["sighted"], "earlier": earlier}
            | "ByDigest" >> beam.CoGroupByKey()
            | "Note" >> beam.FlatMap(_note, self.settings, self.as_of)
        )


def _earlier(_: object, settings: ReleaseSettings) -> Iterator[tuple[str, bytes]]:
    with value_free("list records seen"):
        store = settings.opened()
        if CONSENT_RECORDS in store.tables():
            for batch in store.scan(CONSENT_RECORDS, ["digest"]):
                yield from shards_by(pa.Table.from_batches([batch]), "digest", settings.digits)


def _note(
    shard: tuple[str, Mapping[str, Iterable[bytes]]], settings: ReleaseSettings, as_of: datetime
) -> Iterator[FileRecord]:
    with value_free("note records"):
        sighted = concat(shard[1]["sighted"], SIGHTED_SCHEMA)
        earlier = concat(shard[1]["earlier"], _DIGESTS)
        unseen_by = last_release(settings.opened().snapshot, as_of)
        rows = first_seen(sighted, earlier, settings.run_id, as_of, unseen_by)
        if rows.num_rows:
            files = open_files(settings.store)
            with TableWriter(files, settings.run_id, CONSENT_RECORDS, _SCHEMA) as writer:
                writer.append(rows)
                yield from writer.close()
