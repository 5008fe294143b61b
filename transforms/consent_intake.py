"""Take consent records in: read them in ranges, verify them, and key each one by its person's pseudonym.

Raw identifiers live only inside one step: what leaves it names people, meetings and tenants by join
pseudonyms. A record whose subject cannot be read and that may be a no is kept apart: it disputes everybody in
its scope. What was read is summed up independently of order, so that a later reading shows any difference.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.consent_files import consent_files
from schemas.consent_rows import read_time
from schemas.consent_sets import GRANTORS, NEGATIVE_STATUSES, POSITIVE_STATUSES, STATUSES, WAITING_STATUSES
from schemas.consent_signing import MAX_LINE, RecordVerifier, SigningKey, VerifiedRecord
from schemas.errors import InfrastructureFault
from schemas.places import Place, size_of
from schemas.registry import Registry
from schemas.tables import UNREADABLE
from transforms.cloud_places import place_at
from transforms.pseudonyms import TENANT_TYPE, Pseudonymiser

MEETING_TYPE: Final = "meeting"
PERSON_TYPE: Final = "registry.person"
"""Identifier type under which a registered person's own id is pseudonymised."""

RECORD_TYPE: Final = "consent.record"
"""Identifier type under which the id of a consent record is pseudonymised."""

RANGE_BYTES: Final = 4 << 20
RECORDS_A_RANGE: Final = RANGE_BYTES >> 11
"""Records of the usual two kilobytes in a range."""

_YES_OR_WAITING: Final = frozenset((*POSITIVE_STATUSES, *WAITING_STATUSES))
_SUM_BYTES: Final = 16


class RecordRange(NamedTuple):
    """A part of a file of records: bytes of JSON lines, or row groups of a Parquet file."""

    path: str
    start: int
    end: int


class Attested(NamedTuple):
    """What the registry attests of a person; None where it says nothing."""

    region: str | None = None
    age: str | None = None
    relation: str | None = None
    opt_out: bool | None = None


NOTHING_ATTESTED: Final = Attested()


class Link(NamedTuple):
    """Whom an identifier's pseudonym stands for.

    Attributes:
        pseudonym: Join pseudonym of the identifier.
        person: The person's key; None if several people claim the identifier.
        attested: What the registry says of the person.
        registered: Whether the registry knows the identifier.
    """

    pseudonym: str
    person: str | None
    attested: Attested = NOTHING_ATTESTED
    registered: bool = False


class SightedRecord(NamedTuple):
    """That a record was there, whether it is trusted or not.

    Attributes:
        digest: Begin of its SHA-256.
        pointer: Its id under the join key (`record_pointer`), None if it has none.
        event_time: When it says that it was made.
        ingested_at: When it says that it arrived.
        status: What it says (closed set), or `UNREADABLE`.
        grantor: Who said it (closed set), or `UNREADABLE`.
        fault: Code of why it is not trusted, None if it is.
    """

    digest: bytes
    pointer: str | None
    event_time: datetime | None
    ingested_at: datetime | None
    status: str = UNREADABLE
    grantor: str = UNREADABLE
    fault: str | None = None


@dataclass
class IntakeCounts:
    """What a reading of records came to.

    Attributes:
        records: Records read.
        sum: Sum (mod 2^128) of the digests of all lines, independent of their order.
        faults: Records that are not trusted, by code.
        test_keys: Ids of test keys that signed something.
    """

    records: int = 0
    sum: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    test_keys: set[str] = field(default_factory=set)

    def add_line(self, line: bytes) -> bytes:
        """Count a line; gives its digest."""
        self.records += 1
        digest = hashlib.sha256(line).digest()[:_SUM_BYTES]
        self.sum = (self.sum + int.from_bytes(digest, "big")) % (1 << 8 * _SUM_BYTES)
        return digest

    def merge(self, other: IntakeCounts) -> None:
        """Add another part's counts."""
        self.records += other.records
        self.sum = (self.sum + other.sum) % (1 << 8 * _SUM_BYTES)
        self.faults.update(other.faults)
        self.test_keys |= other.test_keys

    @property
    def fingerprint(self) -> str:
        """Names exactly these records, in any order."""
        return f"{self.records}:{self.sum:032x}"


def total_intake(parts: Iterable[IntakeCounts]) -> IntakeCounts:
    """The counts of all parts."""
    total = IntakeCounts()
    for part in parts:
        total.merge(part)
    return total


def plan_records(paths: Sequence[str], range_bytes: int = RANGE_BYTES) -> list[RecordRange]:
    """The ranges in which the records at some paths are read.

    Raises:
        InfrastructureFault: ``CONSENTS_UNREADABLE``.
    """
    files = dict.fromkeys(file for path in paths for file in consent_files(place_at(path)))
    return [found for file in files for found in _ranges(file, range_bytes)]


def _ranges(file: Place, range_bytes: int) -> Iterator[RecordRange]:
    try:
        if file.suffix == ".parquet":
            with file.open("rb") as content, pq.ParquetFile(content) as parquet:
                groups = parquet.num_row_groups
            yield from (RecordRange(str(file), group, group + 1) for group in range(groups))
            return
        size = size_of(file)
    except (OSError, pa.ArrowException):
        raise _unreadable(file) from None
    for start in range(0, size, range_bytes):
        yield RecordRange(str(file), start, min(start + range_bytes, size))


def read_range(part: RecordRange) -> Iterator[bytes]:
    """The records of a range, one a line, without blank lines.

    A line belongs to the range in which it begins. One that is longer than any record may be comes cut
    short, so that it counts as a record that cannot be read.

    Raises:
        InfrastructureFault: ``CONSENTS_UNREADABLE``.
    """
    path = place_at(part.path)
    try:
        lines = _parquet_lines(path, part) if path.suffix == ".parquet" else _text_lines(path, part)
        yield from (line for line in lines if line)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        raise _unreadable(path) from None


def _text_lines(path: Place, part: RecordRange) -> Iterator[bytes]:
    with path.open("rb") as file:
        if part.start:
            file.seek(part.start - 1)
            _skip_line(file)
        at = file.tell()  # a call to the system: not for every line
        while at < part.end and (line := file.readline(MAX_LINE + 2)):
            at += len(line)
            if not line.endswith(b"\n") and len(line) > MAX_LINE:
                _skip_line(file)
                at = file.tell()
            yield line.strip()


def _skip_line(file: Any) -> None:
    while (piece := file.readline(MAX_LINE)) and not piece.endswith(b"\n"):
        pass


def _parquet_lines(path: Place, part: RecordRange) -> Iterator[bytes]:
    with path.open("rb") as content, pq.ParquetFile(content) as file:
        if "jws" not in file.schema_arrow.names:
            raise ValueError("no records in this file")
        tokens = file.read_row_group(part.start, columns=["jws"]).column("jws").to_pylist()
    # A null where a record should be stays a line, so that it counts as one that cannot be read.
    yield from ((token or "null").encode() for token in tokens)


def _unreadable(path: Place) -> InfrastructureFault:
    message = f"{path} cannot be read; check that it exists, its permissions and that it was copied whole"
    return InfrastructureFault("CONSENTS_UNREADABLE", message)


class RecordIntake:
    """Verifies records and keys them by pseudonym.

    Args:
        keys: Registered signing keys by id.
        pseudonyms: Join pseudonyms.
        allow_test_keys: Whether keys marked test are keys.
    """

    def __init__(
        self, keys: Mapping[str, SigningKey], pseudonyms: Pseudonymiser, *, allow_test_keys: bool
    ) -> None:
        self._verifier = RecordVerifier(keys, allow_test_keys=allow_test_keys)
        self._pseudonyms = pseudonyms
        self.counts = IntakeCounts()
        self.sighted: list[SightedRecord] = []

    def take(self, lines: Iterable[bytes]) -> Iterator[tuple[str | None, bytes]]:
        """Take lines in; gives the pseudonym of each record's subject and its row (`encode_row`).

        The pseudonym is None where the subject cannot be read; such a record comes only if it may be a no.
        """
        for number, line in enumerate(lines, 1):
            digest = self.counts.add_line(line)
            record = self._verifier.verify(line, number)
            self.sighted.append(self._sighted(digest, record))
            if record.fault is not None:
                self.counts.faults[record.fault] += 1
            if record.subject is None and record.row.get("status") in _YES_OR_WAITING:
                continue
            yield self._subject(record), encode_row(self._row(record))
        self.counts.test_keys |= self._verifier.test_keys

    def _sighted(self, digest: bytes, record: VerifiedRecord) -> SightedRecord:
        row = record.row
        record_id = row.get("id")
        pointer = record_pointer(record_id, self._pseudonyms) if isinstance(record_id, str) else None
        return SightedRecord(
            digest,
            pointer,
            read_time(row.get("event_time")),
            read_time(row.get("ingested_at")),
            _word(row.get("status"), STATUSES),
            _word(row.get("grantor"), GRANTORS),
            record.fault,
        )

    def _subject(self, record: VerifiedRecord) -> str | None:
        if record.subject is None:
            return None
        return self._pseudonyms.pseudonym(record.subject.value, identifier_type=record.subject.type)

    def _row(self, record: VerifiedRecord) -> dict[str, Any]:
        row = {name: value for name, value in record.row.items() if name != "subject"}
        if "scope" in row:
            row["scope"] = scope_pseudonym(row["scope"], self._pseudonyms)
        return row


def _word(value: object, words: Sequence[str]) -> str:
    """A word of a closed set; whatever else a record says is not repeated."""
    return value if isinstance(value, str) and value in words else UNREADABLE


def record_pointer(record_id: str, pseudonyms: Pseudonymiser) -> str:
    """A record's id under the join key, by which events' claims point at it."""
    return pseudonyms.pseudonym(record_id, identifier_type=RECORD_TYPE)


def scope_pseudonym(scope: object, pseudonyms: Pseudonymiser) -> str | None:
    """A record's scope with its meeting or tenant under the join key; None if it cannot be read."""
    if scope == "global":
        return "global"
    kind, _, name = scope.partition(":") if isinstance(scope, str) else ("", "", "")
    if kind not in (MEETING_TYPE, TENANT_TYPE) or not name:
        return None
    return f"{kind}:{pseudonyms.pseudonym(name, identifier_type=kind)}"


def encode_row(row: Mapping[str, Any]) -> bytes:
    """A flat row as canonical bytes: equal rows have equal bytes."""
    return msgspec.json.encode(dict(row), order="sorted")


def decode_row(encoded: bytes) -> dict[str, Any]:
    """A flat row back from its bytes."""
    row: dict[str, Any] = msgspec.json.decode(encoded)
    return row


def alias_links(registry: Registry, pseudonyms: Pseudonymiser) -> Iterator[Link]:
    """Every identifier of the registry with each person that it is linked to, under join pseudonyms."""

    @cache
    def person(name: str) -> tuple[str, Attested]:
        known = registry.subjects.attributes_of(name)
        attested = Attested(known.region, known.age, known.relation, known.opt_out)
        return pseudonyms.pseudonym(name, identifier_type=PERSON_TYPE), attested

    for identifier_type, value, claimants in registry.subjects.links():
        pseudonym = pseudonyms.pseudonym(value, identifier_type=identifier_type)
        for name in claimants:
            yield Link(pseudonym, *person(name), registered=True)


def resolve(pseudonym: str, aliases: Iterable[Link]) -> Link:
    """Whom a pseudonym stands for, given every alias of it.

    An identifier that no registry links is its own person; one that several people claim is nobody's.
    """
    claims = {link.person: link for link in aliases}
    if not claims:
        return Link(pseudonym, pseudonym)
    if len(claims) > 1:
        return Link(pseudonym, None, registered=True)
    return next(iter(claims.values()))


def rows_of_people(
    pseudonym: str, aliases: Sequence[Link], rows: Iterable[bytes]
) -> Iterator[tuple[str, bytes]]:
    """The rows under an identifier, each for the person whose it is.

    Under an identifier that several people claim, a yes is nobody's, and a no may be anybody's of them: it
    disputes each one's consent without being proven.
    """
    link = resolve(pseudonym, aliases)
    if link.person is not None:
        yield from ((link.person, row) for row in rows)
        return
    people = sorted({alias.person for alias in aliases if alias.person is not None})
    for row in rows:
        fields = decode_row(row)
        if fields.get("status") not in _YES_OR_WAITING:
            doubtful = encode_row({**fields, "sig_ok": False})
            yield from ((person, doubtful) for person in people)


def is_no(row: Mapping[str, Any]) -> bool:
    """Whether a flat row legibly says no."""
    return row.get("status") in NEGATIVE_STATUSES
