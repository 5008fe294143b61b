"""The witness: read the records a second time, by other code, and say who is not covered by one.

The decider finds facts for classes of items and lets suites judge them. The witness knows nothing of facts,
classes or suites. It asks one plain question of every item that is to be released: has each person who was
certainly there a yes of their own among the records that the release rests on, with no later no? It is
weaker than the rules on purpose, so that it never speaks against a sound release, and it shares none of
their code, so that a fault there does not blind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.consent_sets import NEGATIVE_STATUSES, POSITIVE_STATUSES, ROOTS_BY_KIND, TEMPLATE_KINDS
from validation.reading import Instant, read_instant

COVERED: Final = "covered"
UNCOVERED: Final = "uncovered"

Row = Mapping[str, Any]
_VISIT_ID: Final = ".join_id"
"""Ending of identifier types that name a visit and nobody."""

_LATER_THAN_ANY: Final = 1 << 80


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be released.

    Attributes:
        purpose: The purpose.
        kind: Kind of the items.
        recipient: Who receives them.
        controller: Controller of the meeting.
        tenant: Join pseudonym of the customer account.
        meeting: Join pseudonym of the meeting.
        as_of: Instant of the decision (RFC 3339).
    """

    purpose: str
    kind: str
    recipient: str
    controller: str
    tenant: str | None
    meeting: str | None
    as_of: str


_Keys = tuple[str, ...]
"""Keys under which a person's records lie; none for somebody who cannot be told."""


@dataclass(frozen=True, slots=True)
class _Attendant:
    """Somebody on the roster, and when certainly there (ms since 1970)."""

    keys: _Keys = field(repr=False)
    stays: tuple[tuple[int, int], ...]


class Witness:
    """What one meeting's roster and records say, read plainly.

    Args:
        roster: Rows of the roster, times in milliseconds since 1970.
        persons: Join pseudonym of an identifier to the key of the person behind it; None for nobody's.
        rows: Consent rows by person key.
    """

    def __init__(
        self, roster: Iterable[Row], persons: Mapping[str, str | None], rows: Mapping[str, Sequence[Row]]
    ) -> None:
        self._persons, self._rows = persons, rows
        self._visitors: dict[str, _Keys] = {}
        self._attendants = self._read(roster)
        self._valid: dict[Ask, dict[_Keys, frozenset[str]]] = {}

    def judge(self, items: Sequence[Row], ask: Ask, record_ids: Iterable[str]) -> list[str]:
        """For each item whether everybody who was certainly there is covered.

        Args:
            items: Rows of the items table, times in milliseconds since 1970.
            ask: What is to be released.
            record_ids: Records that the release is said to rest on.
        """
        named = frozenset(record_ids)
        valid = self._valid_for(ask)
        lacking = [one for one in self._attendants if named.isdisjoint(valid[one.keys])]
        return [COVERED if self._is_covered(one, lacking, ask, named) else UNCOVERED for one in items]

    def _valid_for(self, ask: Ask) -> dict[_Keys, frozenset[str]]:
        """For everybody the ids of each yes that holds, with no later no."""
        if ask not in self._valid:
            self._valid[ask] = {one.keys: self._ids_of(one.keys, ask) for one in self._attendants}
        return self._valid[ask]

    def _read(self, roster: Iterable[Row]) -> list[_Attendant]:
        events: dict[object, list[Row]] = defaultdict(list)
        for row in roster:
            if row["event"] in ("join", "leave"):
                events[row["join_pseudonym"] or self._keys_of([row])].append(row)
        found = []
        for name, rows in events.items():
            if all(_is_exempt(row) for row in rows):
                continue
            keys = self._keys_of(rows)
            found.append(_Attendant(keys, tuple(_stays(rows))))
            if isinstance(name, str):
                self._visitors[name] = keys
        return found

    def _keys_of(self, rows: Iterable[Row]) -> _Keys:
        subjects = [one for row in rows for one in row["subjects"] or ()]
        named = {one["pseudonym"] for one in subjects if not str(one["type"]).endswith(_VISIT_ID)}
        found = {self._persons.get(each, each) for each in named}
        return () if None in found else tuple(sorted(each for each in found if each is not None))

    def _is_covered(self, item: Row, lacking: Sequence[_Attendant], ask: Ask, named: frozenset[str]) -> bool:
        first, last = _span(item)
        there = any(start <= last and end >= first for one in lacking for start, end in one.stays)
        sender = self._sender(item["sender_join"])
        covered = sender is None or not named.isdisjoint(self._ids_of(sender, ask))
        return covered and not there and not _is_refused(item, ask)

    def _sender(self, pseudonym: str | None) -> _Keys | None:
        if pseudonym is None:
            return None
        person = self._persons.get(pseudonym, pseudonym)
        return self._visitors.get(pseudonym, () if person is None else (person,))

    def _ids_of(self, keys: _Keys, ask: Ask) -> frozenset[str]:
        """The ids of each yes of a person that holds, with no later no."""
        known = self._valid.get(ask, {}).get(keys)
        if known is not None:
            return known
        rows = [row for key in keys for row in self._rows.get(key, ())]
        return frozenset(_valid_ids(rows, ask))


def _is_exempt(row: Row) -> bool:
    """Bots are nobody, and a communication to the public is not one of whoever only watches."""
    return row["channel"] == "bot" or row["view_only"] is True


def _stays(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """From each join to the leave that follows it; what lacks one of the two is not certain."""
    since: int | None = None
    timed = [row for row in rows if row["event_time"] is not None]
    for row in sorted(timed, key=lambda row: (row["event_time"], row["event"] == "leave")):
        if row["event"] == "join" and since is None:
            since = row["event_time"]
        elif row["event"] == "leave" and since is not None:
            yield since, row["event_time"]
            since = None


def _span(item: Row) -> tuple[float, float]:
    """When an item came about (ms since 1970); always, where nothing tells."""
    start, end, event = item["recorded_start"], item["recorded_end"], item["event_time"]
    first = start if start is not None else event if end is None else None
    last = end if end is not None else event
    return float("-inf") if first is None else first, float("inf") if last is None else last


def _is_refused(item: Row, ask: Ask) -> bool:
    """Whether the item's own event refuses this."""
    flag = item["consent_flag"] or {}
    purposes = flag.get("purposes") or [ask.purpose]
    return bool(flag.get("refuses")) and not {ask.purpose, "*", None}.isdisjoint(purposes)


def _valid_ids(rows: Sequence[Row], ask: Ask) -> Iterator[str]:
    last_no = max(_noes(rows, ask), default=-1)
    for row in rows:
        if _is_yes(row, ask) and _time(row) > last_no:
            yield row["id"]


def _is_yes(row: Row, ask: Ask) -> bool:
    kinds = {ask.kind}
    if ask.kind not in TEMPLATE_KINDS:
        kinds |= {ROOTS_BY_KIND.get(ask.kind, ask.kind), "*"}
    return (
        row.get("status") in POSITIVE_STATUSES
        and row.get("sig_ok") is True
        and isinstance(row.get("id"), str)
        and row.get("controller") == ask.controller
        and ask.purpose in (row.get("purposes") or ())
        and not kinds.isdisjoint(row.get("kinds") or ())
        and ask.recipient in (row.get("recipients") or ())
        and _is_here(row.get("scope"), ask)
    )


def _noes(rows: Iterable[Row], ask: Ask) -> Iterator[Instant]:
    """Instants of what says no to this, or may; a no from after the decision outranks every yes."""
    as_of = read_instant(ask.as_of) or 0
    for row in rows:
        purposes = row.get("purposes")
        about = not isinstance(purposes, list) or not {ask.purpose, "*"}.isdisjoint(purposes)
        here = row.get("scope") is None or _is_here(row["scope"], ask)
        ours = row.get("controller") == ask.controller
        if row.get("status") in NEGATIVE_STATUSES and about and here and ours:
            yield _time(row) if _time(row) < as_of else _LATER_THAN_ANY


def _is_here(scope: object, ask: Ask) -> bool:
    return scope in ("global", f"tenant:{ask.tenant}", f"meeting:{ask.meeting}")


def _time(row: Row) -> Instant:
    return read_instant(row.get("event_time")) or 0
