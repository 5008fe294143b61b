"""Suites of the store's own tables: quarantine, rosters, signals, what was released.

Each column of these tables has its rules here, by the Parquet path of the column. A column that is declared
in ``schemas.tables`` and has neither a rule nor a place among the free ones fails a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from schemas.classification import CONTENT_KINDS, SEALED_KINDS
from schemas.consent_sets import CONTENT_LIKE, RECIPIENTS
from schemas.contract import DELETION_NAMES, ROSTER_EVENTS, SOURCES, ContractSet
from schemas.tables import (
    CONSENT_RECORDS,
    DECISION_CLASSES,
    FILTERS,
    FIXED_TABLES,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
    ROSTER,
    SIGNALS,
    UNREADABLE,
)
from validation.written_rules import (
    PSEUDONYM_SHAPE,
    Reading,
    Rule,
    between,
    even,
    in_set,
    length,
    matches,
    not_null,
    pseudonym,
)
from validation.written_suites import TRUTH, WINDOW, TableSuite

QUARANTINE_AREA: Final = "quarantine"
ROSTER_AREA: Final = "roster"
RELEASED_AREA: Final = "released"
OTHER_AREA: Final = "evidence"
CONSERVATION_AREA: Final = "conservation"
AREAS: Final = {
    "quarantine": QUARANTINE_AREA,
    "roster": ROSTER_AREA,
    "signals": ROSTER_AREA,
    "released": RELEASED_AREA,
}
"""First folder of a table to the area that it is counted under; the rest is evidence."""

SIGNAL_NAMES: Final = (*DELETION_NAMES, "tenant", "everything")
_FIRST_DAY: Final = date(1970, 1, 1)
_DAYS: Final = between((date(2000, 1, 1) - _FIRST_DAY).days, (date(2100, 1, 1) - _FIRST_DAY).days)
_COUNT: Final = between(0, 2**31 - 1)
_OFFSET: Final = between(0, 2**53)
_TRUE: Final = in_set(*TRUTH)
_KEY: Final = (not_null(), length(16, 16))
_DIGEST: Final = matches("[0-9a-f]{64}", code="NOT_A_DIGEST")
_WORD: Final = matches("[a-z][a-z0-9_]{0,63}")
_OR_UNREADABLE: Final = in_set(
    PSEUDONYM_SHAPE, f"{UNREADABLE}/{len(UNREADABLE)}", code="NOT_A_PSEUDONYM", reading=Reading.SHAPE
)
SMALLEST: Final = 256
"""Length of the shortest thing that is sealed, padding included."""

SEAL: Final = 72
"""What a seal adds to a message of one chunk: salt, commitment and tag (C2SP chunked encryption)."""

_LARGEST: Final = 2**31 - 1
_WRAPPED: Final = (60, 4096)


@dataclass(frozen=True)
class StoreWords:
    """The closed sets of a store that follow from its contracts and from the steps that write it.

    Attributes:
        event_types: Event types.
        contracts: Contract labels (id@version) of the rows.
        identifier_types: Identifier types.
        roles: Role of the envelope to the words that a contract allows for it.
        purposes: Purposes that an event's claim about consent may name.
        reasons: Why records are sealed whole.
        schemes: Formats of ciphertexts.
    """

    event_types: frozenset[str]
    contracts: frozenset[str]
    identifier_types: frozenset[str]
    roles: Mapping[str, frozenset[str]]
    purposes: frozenset[str]
    reasons: frozenset[str]
    schemes: frozenset[str]


_ROLES: Final = ("region", "channel", "role")


def words_of(contracts: Iterable[ContractSet], reasons: Iterable[str], schemes: Iterable[str]) -> StoreWords:
    """The closed sets of a store.

    Args:
        contracts: All contracts that rows of it were taken apart by.
        reasons: Reason codes of records that are sealed whole.
        schemes: Formats of ciphertexts.
    """
    shapes = [shape for each in contracts for shape in each.shapes]
    roles: dict[str, set[str]] = {role: set() for role in _ROLES}
    purposes: set[str] = set()
    for shape in shapes:
        fields = {entry.path: entry for entry in shape.fields}
        for role in _ROLES:
            entry = fields.get(shape.envelope.get(role, ()))
            roles[role].update(map(str, (entry and entry.values) or ()))
        claimed = fields.get((*shape.envelope.get("consent", ()), "purposes"))
        purposes.update(map(str, (claimed and claimed.values) or ()))
    return StoreWords(
        event_types=frozenset(event for shape in shapes for event in shape.events),
        contracts=frozenset(shape.contract_label for shape in shapes),
        identifier_types=frozenset(e.identifies for shape in shapes for e in shape.fields if e.identifies),
        roles={role: frozenset(words) for role, words in roles.items()},
        purposes=frozenset(purposes),
        reasons=frozenset(reasons),
        schemes=frozenset(schemes),
    )


def table_suites(words: StoreWords) -> dict[str, TableSuite]:
    """The suites of the store's own tables by name; of evidence only the names of columns are judged."""
    rules: dict[str, Mapping[str, tuple[Rule, ...]]] = {
        QUARANTINE_ITEMS: dict(_items(words)),
        QUARANTINE_BLOBS: dict(_blobs(words)),
        QUARANTINE_KEYS: _KEY_RULES,
        QUARANTINE_REJECTED: dict(_rejected(words)),
        ROSTER: dict(_roster(words)),
        SIGNALS: dict(_signals(words)),
        RELEASED: _RELEASED_RULES,
    }
    return {
        table: TableSuite(
            AREAS.get(table.split("/")[0], OTHER_AREA),
            table,
            "",
            schema,
            rules.get(table, {}),
            FREE if table == RELEASED else frozenset(),
            LATER.get(table, frozenset()),
        )
        for table, schema in FIXED_TABLES.items()
        if table != FILTERS
    }


_Rules = Iterator[tuple[str, tuple[Rule, ...]]]
_ID: Final = (not_null(), pseudonym())
_LABELS: Final = "contract"


def _set(words: Iterable[str]) -> Rule:
    return in_set(*sorted(words))


def _items(words: StoreWords) -> _Rules:
    yield "item_id", _ID
    yield "event_id", _ID
    yield "source", (not_null(), in_set(*SOURCES))
    yield "event_type", (not_null(), _set(words.event_types))
    yield "kind", (not_null(), in_set(*SEALED_KINDS))
    for name in ("tenant_join", "meeting_join", "sender_join"):
        yield name, (pseudonym(),)
    for name in ("event_time", "recorded_start", "recorded_end"):
        yield name, (WINDOW,)
    yield "region", (_set(words.roles["region"]),)
    yield "key_id", _KEY
    yield "blob_part", (not_null(), _COUNT)
    yield "size_class", (not_null(), between(SMALLEST, _LARGEST))
    yield _LABELS, (not_null(), _set(words.contracts))
    yield "derived_from.list.element", (in_set(*CONTENT_KINDS, UNREADABLE),)
    yield "piece_join", (_OR_UNREADABLE,)
    yield "consent_flag.record_ids.list.element", (pseudonym(),)
    yield "consent_flag.purposes.list.element", (_set(words.purposes),)
    yield "consent_flag.refuses", (_TRUE,)


def _blobs(words: StoreWords) -> _Rules:
    yield "key_id", _KEY
    yield "part", (not_null(), _COUNT)
    yield "scheme", (not_null(), _set(words.schemes))
    for name in ("tenant", "meeting", "sender"):
        yield name, (pseudonym(),)
    yield "kind", (not_null(), in_set(*SEALED_KINDS))
    yield _LABELS, (not_null(), in_set("", *sorted(words.contracts)))
    yield "item_ids", (not_null(), length(16, _LARGEST))
    yield "size_class", (not_null(), between(SMALLEST, _LARGEST))
    yield "ciphertext", (not_null(), length(SMALLEST + SEAL, _LARGEST), even())


_KEY_RULES: Final = {
    "key_id": _KEY,
    "covers": (not_null(), in_set("bundle", "data")),
    "holds": (not_null(), in_set("items", "rejected")),
    "wrapping_key_id": _KEY,
    "wrapped": (not_null(), length(*_WRAPPED), even()),
    "created": (not_null(), _DAYS),
}


def _rejected(words: StoreWords) -> _Rules:
    yield "reject_id", _ID
    yield "source", (in_set(*SOURCES),)
    yield "reason", (not_null(), _set(words.reasons))
    yield "file_index", (not_null(), _COUNT)
    yield "offset", (not_null(), _OFFSET)
    yield "piece", (not_null(), _COUNT)
    yield "last", (not_null(), _TRUE)
    yield "stored", (not_null(), _TRUE)
    yield "key_id", _KEY
    yield "blob_part", (not_null(), _COUNT)
    yield "received", (not_null(), _DAYS)
    yield "size_class", (not_null(), between(SMALLEST, _LARGEST))


def _people(words: StoreWords) -> _Rules:
    yield "tenant_join", (pseudonym(),)
    yield "meeting_join", (pseudonym(),)
    yield "subjects.list.element.type", (not_null(), _set(words.identifier_types))
    yield "subjects.list.element.pseudonym", _ID
    yield "event_time", (WINDOW,)
    yield "event_id", (pseudonym(),)  # an erasure leaves a nameless participant whose event nobody can find
    yield "source", (not_null(), in_set(*SOURCES))


def _roster(words: StoreWords) -> _Rules:
    yield from _people(words)
    yield "event", (not_null(), in_set(*ROSTER_EVENTS))
    yield "join_pseudonym", (pseudonym(),)
    for role, known in words.roles.items():
        yield role, (_set(known),)
    yield "view_only", (_TRUE,)
    yield "is_host", (_TRUE,)


def _signals(words: StoreWords) -> _Rules:
    yield from _people(words)
    yield "names", (not_null(), in_set(*SIGNAL_NAMES))
    yield "piece_join", (pseudonym(),)
    yield "event_type", (not_null(), _set(words.event_types))


_RELEASED_RULES: Final = {
    "item_id": _ID,
    "event_id": _ID,
    "kind": (not_null(), in_set(*sorted(CONTENT_LIKE))),
    "recipient": (not_null(), in_set(*RECIPIENTS)),
    "purpose": (not_null(), _WORD),
    "decision": (not_null(), in_set("RELEASE")),
    "decision_id": _ID,
    "records": (not_null(), _COUNT),
    "policy_hash": (not_null(), _DIGEST),
    "suite_hash": (not_null(), _DIGEST),
    "as_of": (not_null(), WINDOW),
}
FREE: Final = frozenset(
    {
        "reasons.list.element",
        "record_ids.list.element",
        "terms.list.element",
        "parts.list.element.path",
        "parts.list.element.value",
    }
)
"""Columns of ``released`` that hold the content itself, or are compared with their decision as a whole."""
LATER: Final[Mapping[str, frozenset[str]]] = {
    QUARANTINE_ITEMS: frozenset({"derived_from", "piece_join"}),
    QUARANTINE_BLOBS: frozenset({"sender"}),
    CONSENT_RECORDS: frozenset({"status", "grantor", "fault"}),
    DECISION_CLASSES: frozenset({"roster_doubts"}),
}
"""Columns that were declared after files of a table had been written, and that may be empty."""
