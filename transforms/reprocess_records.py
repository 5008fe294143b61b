"""Records that were sealed whole taken in again, under contracts that know their types by now.

A record that is taken apart goes the way of every record of ingest: the same router, decoders and separator.
One that is still refused stays exactly as it is, and so does one that a contract cannot mend.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final

import pyarrow as pa

from schemas.contract import ContractSet, EventShape
from schemas.tables import TELEMETRY
from transforms.keys import ReleaseKeys
from transforms.pseudonym_spaces import PseudonymSpaces
from transforms.record_digests import RecordDigester
from transforms.reprocess_epochs import EPOCH_UNLINKED, Epochs
from transforms.reprocess_lookup import StoreLookup, day_folder
from transforms.reprocess_told import (
    DUPLICATE,
    ERASED,
    NOT_MENDABLE,
    SEPARATED,
    STAYS,
    STILL_UNKNOWN,
    Told,
)
from transforms.routing import NOT_AN_EVENT, UNKNOWN_TYPE
from transforms.separate import ID_COLLISION, Separated, Separator

MENDABLE: Final = (UNKNOWN_TYPE, NOT_AN_EVENT)
"""Reasons that a contract can take away; no contract makes JSON of what is none."""


@dataclass(frozen=True)
class SealedRecord:
    """A record that was sealed whole.

    Attributes:
        reject_id: Its id (16 bytes).
        reason: Why it was.
        source: Source of the shape that refused it, where one was found.
        received: The day on which it was read.
        raw: Its bytes.
    """

    reject_id: bytes
    reason: str
    source: str | None
    received: date
    raw: bytes = field(repr=False)


@dataclass
class TakenRecords:
    """What becomes of some records.

    Attributes:
        outcomes: ``separated``, ``duplicate`` or ``stays``, a record.
        reasons: Why records stay, by their places.
        separated: What records were taken apart into, by the day on which they were received.
        told: What is told of them.
    """

    outcomes: list[str]
    reasons: dict[int, str] = field(default_factory=dict)
    separated: list[tuple[date, Separated]] = field(default_factory=list, repr=False)
    told: Counter[Told] = field(default_factory=Counter)


class _Earlier:
    """What the store has of the events of some records, read once it is asked for.

    No table tells which body of an event was taken in. If only one was ever read under its id, it was that
    one; if there were several, any of them may be another one. What was read more than once may have been
    taken in under other contracts, which had its rows in another table or of another day.

    Args:
        lookup: The store.
        identified: Keyed digests (16 bytes) of the records' events and bodies.
    """

    def __init__(self, lookup: StoreLookup, identified: Collection[tuple[bytes, bytes]]) -> None:
        self._lookup, self._identified = lookup, identified

    @cached_property
    def _bodies(self) -> Mapping[bytes, Counter[bytes]]:
        return self._lookup.bodies_read({identity for identity, _ in self._identified})

    @cached_property
    def _unclear(self) -> frozenset[str]:
        read = self._bodies
        return frozenset(event.hex() for event, body in self._identified if {*read.get(event, ())} != {body})

    @cached_property
    def _again(self) -> frozenset[str]:
        """Events that one body alone was read of, more than once."""
        several = {event.hex() for event, bodies in self._bodies.items() if bodies.total() > 1}
        return frozenset(several - self._unclear)

    @cached_property
    def _anywhere(self) -> frozenset[str]:
        return frozenset(self._lookup.events_anywhere(self._unclear | self._again))

    @property
    def colliding(self) -> frozenset[str]:
        """Events (32 hexadecimal digits) that were taken in before, perhaps with another body."""
        return self._anywhere & self._unclear

    def repeated(self, table: str, folders: Mapping[str, str]) -> set[str]:
        """Which of some events were taken in before with the same body.

        Args:
            table: Their table of telemetry.
            folders: The events with the folder of each.
        """
        once = {
            event: folder
            for event, folder in folders.items()
            if event not in self._unclear and event not in self._again
        }
        return self._lookup.events_there(table, once) | (self._anywhere & self._again & folders.keys())


class RecordTaker:
    """Takes records in again.

    Args:
        lookup: The store.
        contracts: The mended contracts.
        keys: The release side's keys.
        epochs: Epochs of past events.
        erased: Events of which an erasure took something (32 hexadecimal digits).
        source: Source of the records, or "auto".
        elsewhere: Keyed digests (16 bytes) of events that somebody else separates, each with its body's.
    """

    def __init__(
        self,
        lookup: StoreLookup,
        contracts: ContractSet,
        keys: ReleaseKeys,
        epochs: Epochs,
        erased: frozenset[str],
        source: str,
        elsewhere: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self._lookup, self._contracts, self._keys, self._epochs = lookup, contracts, keys, epochs
        self._erased, self._source = erased, source
        self._digester = RecordDigester(keys.digest_key)
        self._separators: dict[bytes, Separator] = {}
        self._elsewhere = dict(elsewhere)
        self._taken = dict(self._elsewhere)
        self._earlier = _Earlier(lookup, ())

    def take(self, records: Sequence[SealedRecord], destroyed: frozenset[str] = frozenset()) -> TakenRecords:
        """What becomes of some records.

        Args:
            records: The records.
            destroyed: Rejects among them that were destroyed (32 hexadecimal digits).
        """
        taken = TakenRecords([STAYS] * len(records))
        groups: dict[tuple[date, bytes], list[int]] = defaultdict(list)
        identified: set[tuple[bytes, bytes]] = set()
        for index, (record, identity, body) in enumerate(self._identified(records)):
            is_destroyed, root = record.reject_id.hex() in destroyed, self._epochs.of_day(record.received)
            reason = self._refused(record, identity, body, is_destroyed=is_destroyed)
            if reason == DUPLICATE:
                self._settle(taken, index, record, DUPLICATE)
            elif reason or root is None:
                self._settle(taken, index, record, STAYS, reason=reason or EPOCH_UNLINKED)
            else:
                groups[record.received, root].append(index)
                identified.add((identity, body))
        self._earlier = _Earlier(self._lookup, identified)
        for (received, root), indexes in groups.items():
            while indexes:
                indexes = self._take_group(records, indexes, received, self._separator(root), taken)
        return taken

    @property
    def identities(self) -> tuple[tuple[bytes, bytes], ...]:
        """Keyed digests (16 bytes) of the events that were separated here, each with its body's."""
        return tuple(each for each in self._taken.items() if each[0] not in self._elsewhere)

    def _identified(self, records: Sequence[SealedRecord]) -> Iterable[tuple[SealedRecord, bytes, bytes]]:
        if not records:
            return []
        found = self._digester.identities([record.raw for record in records])
        identities = [each.tobytes() for each in found.ids]
        return zip(records, identities, [each.tobytes() for each in found.bodies], strict=True)

    def _refused(self, record: SealedRecord, identity: bytes, body: bytes, *, is_destroyed: bool) -> str:
        if record.reason not in MENDABLE:
            return NOT_MENDABLE
        if identity.hex() in self._erased or is_destroyed:
            return ERASED
        if identity in self._taken:
            return DUPLICATE if self._taken[identity] == body else ID_COLLISION
        return ""

    def _separator(self, root: bytes) -> Separator:
        found = self._separators.get(root)
        if found is None:
            pseudonyms = PseudonymSpaces(self._keys, root)
            found = Separator(self._contracts, self._source, pseudonyms, self._digester)
            self._separators[root] = found
        return found

    def _take_group(
        self,
        records: Sequence[SealedRecord],
        indexes: Sequence[int],
        received: date,
        separator: Separator,
        taken: TakenRecords,
    ) -> list[int]:
        """The first record of each event, of one day and epoch; gives other bodies, for another round."""
        unique, repeated, others = self._first_of_each(records, indexes, taken)
        groups, held = separator.route([records[index].raw for index in unique])
        for each in held:
            index = unique[each.index]
            self._settle(taken, index, records[index], STAYS, reason=each.code)
        for shape, places in groups:
            mine = [unique[place] for place in places]
            self._take_shape(records, mine, received, shape, separator, taken)
        for index, first in repeated.items():  # a copy of what stays is no copy of what was taken in
            reason = taken.reasons.get(first, "")
            outcome = STAYS if taken.outcomes[first] == STAYS else DUPLICATE
            self._settle(taken, index, records[index], outcome, reason=reason)
        separated = [records[index] for index in unique if taken.outcomes[index] == SEPARATED]
        self._taken |= {identity: body for _, identity, body in self._identified(separated)}
        return others

    def _first_of_each(
        self, records: Sequence[SealedRecord], indexes: Sequence[int], taken: TakenRecords
    ) -> tuple[list[int], dict[int, int], list[int]]:
        """The first record of each event, the first of each that comes again, and records with other bodies.

        What was taken in already makes an equal body a duplicate, and another one a collision.
        """
        first: dict[bytes, tuple[int, bytes]] = {}
        repeated: dict[int, int] = {}
        others: list[int] = []
        some = [records[index] for index in indexes]
        for index, (record, identity, body) in zip(indexes, self._identified(some), strict=True):
            if identity in self._taken:
                is_same = self._taken[identity] == body
                outcome, reason = (DUPLICATE, "") if is_same else (STAYS, ID_COLLISION)
                self._settle(taken, index, record, outcome, reason=reason)
            elif identity not in first:
                first[identity] = index, body
            elif first[identity][1] == body:
                repeated[index] = first[identity][0]
            else:
                others.append(index)
        return [index for index, _ in first.values()], repeated, others

    def _take_shape(
        self,
        records: Sequence[SealedRecord],
        indexes: list[int],
        received: date,
        shape: EventShape,
        separator: Separator,
        taken: TakenRecords,
    ) -> None:
        """Records that one shape claims."""
        if not indexes:
            return
        result = separator.separate(shape, [records[index].raw for index in indexes])
        again, colliding = self._taken_before(shape, result)
        if again or colliding:
            known = {indexes[place] for place in again}
            for index in sorted(known):
                self._settle(taken, index, records[index], DUPLICATE)
            others = {indexes[place] for place in colliding}
            for index in sorted(others):
                self._settle(taken, index, records[index], STAYS, reason=ID_COLLISION)
            indexes = [index for index in indexes if index not in known | others]
            result = separator.separate(shape, [records[index].raw for index in indexes])
        for each in result.held:
            self._settle(taken, indexes[each.index], records[indexes[each.index]], STAYS, reason=each.code)
        if not result.separated_rows:
            return
        types = result.telemetry[f"{TELEMETRY}/{shape.table}"].column("event_type").to_pylist()
        for place, event_type in zip(result.separated_rows, types, strict=True):
            index = indexes[place]
            self._settle(taken, index, records[index], SEPARATED, source=shape.source, event_type=event_type)
        for drift, number in result.drift.items():
            told = Told(drift.source, "-", SEPARATED, drift.parent or "-", STAYS, "content", STILL_UNKNOWN)
            taken.told[told] += number
        taken.separated.append((received, result))

    def _taken_before(self, shape: EventShape, result: Separated) -> tuple[list[int], list[int]]:
        """Places of records whose events telemetry has already: with this body, and perhaps with another."""
        table = f"{TELEMETRY}/{shape.table}"
        rows = result.telemetry.get(table)
        if rows is None:
            return [], []
        ids = rows.column("event_id").to_pylist()
        folders = map(day_folder, rows.column("event_time").to_pylist())
        known = self._earlier.repeated(table, dict(zip(ids, folders, strict=True)))
        places = list(zip(result.separated_rows, ids, strict=True))
        return (
            [place for place, event in places if event in known],
            [place for place, event in places if event in self._earlier.colliding],
        )

    @staticmethod
    def _settle(
        taken: TakenRecords,
        index: int,
        record: SealedRecord,
        outcome: str,
        *,
        source: str | None = None,
        event_type: str = "-",
        reason: str = "",
    ) -> None:
        taken.outcomes[index] = outcome
        if reason:
            taken.reasons[index] = reason
        lane = "content" if outcome == STAYS else ""
        named = source or record.source or "-"
        taken.told[Told(named, event_type, record.reason, "-", outcome, lane, reason)] += 1


def destroyed_among(tables: Iterable[pa.Table], wanted: frozenset[str]) -> frozenset[str]:
    """Which of some ids tombstones name."""
    return frozenset(
        item_id for table in tables for item_id in table.column("item_id").to_pylist() if item_id in wanted
    )


__all__ = ["MENDABLE", "RecordTaker", "SealedRecord", "TakenRecords", "destroyed_among"]
