"""A store as a report sees it: as it was after some commit, with the runs of a period, read in passes.

A report names the last commit that it saw. So it can be made again from a store that has grown since, as
long as the files of then are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import FIXED_TABLES
from transforms.audit_entries import digests_of
from transforms.bounded_reading import scan_rows
from transforms.manifest_seal import ManifestSeal
from transforms.manifests import FileRecord, Manifest, Snapshot, fold
from transforms.store import Store

_ROWS_AT_ONCE: Final = 8192
"""Rows as Python objects take many times their size in memory."""

_RUN_TIME = re.compile(r"(\d{8}t\d{6})z-.*")


@dataclass(frozen=True)
class Period:
    """From when on and until when runs are told of; None for no bound.

    Attributes:
        start: First instant.
        end: First instant after it.
    """

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, run_id: str) -> bool:
        """Whether a run began in the period, as its id says; one whose id does not say is in every period."""
        match = _RUN_TIME.fullmatch(run_id)
        if match is None:
            return True
        began = datetime.strptime(match[1], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)
        return (self.start is None or self.start <= began) and (self.end is None or began < self.end)


class StoreView:
    """A store as one commit left it.

    Args:
        root: The store's folder.
        period: Whose runs are told of.
        commits: After how many commits; None for all.
        seal: Checks that the store's keys wrote its manifests; None without keys.

    Raises:
        ConfigurationError: There is no store, or nothing was committed to it (``REPORT_EMPTY_STORE``), or it
            has not so many commits (``REPORT_OTHER_STORE``).
        InfrastructureFault: A file of then is gone (``REPORT_FILES_GONE``).
    """

    def __init__(
        self, root: str, period: Period, commits: int | None = None, seal: ManifestSeal | None = None
    ) -> None:
        self.store = Store.open(root, seal)
        self.period = period
        if not self.store.snapshot.manifests:
            raise ConfigurationError("REPORT_EMPTY_STORE", "nothing was committed to this store yet")
        if commits is not None:
            self._go_back_to(commits)
        snapshot = self.store.snapshot
        self.digests = dict(enumerate(digests_of(snapshot), start=1))
        self.runs = [run for run in snapshot.manifests if period.holds(run.run_id)]

    def _go_back_to(self, commits: int) -> None:
        now = self.store.snapshot
        if not 0 < commits <= len(now.manifests):
            message = f"the store has {len(now.manifests)} commits and the report is about {commits}"
            raise ConfigurationError("REPORT_OTHER_STORE", message)
        manifests = now.manifests[:commits]
        live, removed = fold(manifests)
        gone = sum(path not in now.live for path in live)
        if gone:
            raise InfrastructureFault(
                "REPORT_FILES_GONE",
                f"{gone} of the files that the report was made from were rewritten or erased since, so it "
                "cannot be made again",
            )
        self.store.snapshot = Snapshot(manifests, live, removed, digests_of(now)[commits - 1])

    @property
    def commits(self) -> int:
        """Commits that are seen."""
        return len(self.store.snapshot.manifests)

    def has(self, table: str) -> bool:
        """Whether there are rows of a table."""
        return bool(self.store.files(table))

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return sum(record.rows for record in self.store.files(table))

    def scan(
        self,
        table: str,
        columns: list[str],
        where: Any = None,
        records: Iterable[FileRecord] | None = None,
        by: Sequence[str] = (),
    ) -> Iterator[pa.Table]:
        """Rows of a table in small batches; nothing where there is no such table.

        Columns that an older version of the software did not write are null.

        Args:
            table: Its name.
            columns: Columns to read.
            where: Which rows.
            records: Only these of the table's files.
            by: Columns that ``where`` reads besides.
        """
        chosen = self.store.files(table) if records is None else list(records)
        if not chosen:
            return
        known = self.store.schema(table)
        fields = (
            known.field(name) if name in known.names else FIXED_TABLES[table].field(name)
            for name in dict.fromkeys((*columns, *by))
        )
        schema = pa.schema(list(fields))
        for record in chosen:
            for rows in scan_rows(self.store.files_of_store, table, record, schema, _ROWS_AT_ONCE):
                kept = rows if where is None else rows.filter(where)
                if kept.num_rows:
                    yield kept.select(columns)

    def added(self, table: str) -> list[FileRecord]:
        """Files of a table that runs of the period added and that are there."""
        live = self.store.snapshot.live
        return [
            record
            for run in self.runs
            for record in run.adds
            if record.table == table and record.path in live
        ]

    def ledgers(self, kind: str) -> list[tuple[Manifest, Mapping[str, Any]]]:
        """What the runs of a kind state about themselves."""
        found = ((run, run.facts.get("ledger")) for run in self.runs if run.facts.get("kind") == kind)
        return [(run, ledger) for run, ledger in found if isinstance(ledger, Mapping)]


def instant(value: datetime) -> str:
    """An instant as reports state it (RFC 3339, UTC)."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")
