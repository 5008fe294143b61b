"""The consent records of a person, as they were signed, with what verifying them came to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.consent_rows import is_negative
from schemas.consent_signing import RecordVerifier, VerifiedRecord, read_legible, read_payload
from schemas.registry import Registry
from schemas.registry_subjects import canonical_identifier
from schemas.tables import CONSENT_RECORDS
from transforms.consent_intake import plan_records, read_range
from transforms.store import Store
from transforms.subject_search import Person, Section

_SEEN: Final = ("event_time", "ingested_at", "first_seen", "run_id")


@dataclass
class OwnRecords:
    """A person's consent records.

    Attributes:
        rows: Each record with its state.
        held_back: Number, by reason, of records that may be theirs and are not given out.
    """

    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    held_back: Counter[str] = field(default_factory=Counter)

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the records."""
        return frozenset(row["record_id"] for row in self.rows if isinstance(row["record_id"], str))

    def section(self) -> Section:
        """The same as a part of the archive."""
        about = (
            "What the person has agreed to, refused or withdrawn, as it was signed. `verified` says whether "
            "the signature holds, `fault` why not; `seen` when a release first knew of it."
        )
        return Section("consents", "Consent records", about, self.rows)


def records_of(
    store: Store, registry: Registry, person: Person, consents: Sequence[str], *, allow_test_keys: bool
) -> OwnRecords:
    """All records about a person.

    Args:
        store: The store, for when records were first seen.
        registry: Keys and people.
        person: The person.
        consents: Files and folders of records.
        allow_test_keys: Whether keys marked test are keys.

    Raises:
        InfrastructureFault: Records cannot be read.
    """
    reader = RecordVerifier({})  # tells whom a record is about; only the person's own are verified
    verifier = RecordVerifier(registry.keys, allow_test_keys=allow_test_keys)
    own = {_canonical(each.type, each.value) for each in person.identifiers}
    found = OwnRecords()
    for line in _lines(consents):
        record = reader.verify(line, 1)
        subject = record.subject
        if subject is None:
            if "status" not in record.row or is_negative(record.row):
                found.held_back["subject cannot be read"] += 1
        elif _canonical(subject.type, subject.value) in own:
            found.rows.append(_row(verifier.verify(line, 1), line))
        elif person.name in registry.subjects.claimants(subject.type, subject.value):
            found.held_back["identifier is claimed by several people"] += 1
    _note_sightings(store, found.rows)
    return found


def _canonical(kind: str, value: str | int) -> tuple[str, str]:
    return kind, canonical_identifier(kind, value)


def _lines(consents: Sequence[str]) -> Iterator[bytes]:
    return (line for part in plan_records(consents) for line in read_range(part))


def _row(record: VerifiedRecord, line: bytes) -> dict[str, Any]:
    signed = record.jws is not None
    content, _ = read_payload(record.jws) if record.jws is not None else read_legible(line)
    return {
        "record_id": record.row.get("id"),
        "status": record.row.get("status"),
        "verified": record.fault is None,
        "fault": record.fault,
        "signed": signed,
        "signing_key": record.row.get("kid"),
        "import_attested": record.row.get("import_attested", False),
        "record": content,
        "digest": hashlib.sha256(line).digest()[:16],
    }


def _note_sightings(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    """Say of each record when a release first knew of it."""
    sighted: dict[bytes, Mapping[str, Any]] = {}
    if rows and CONSENT_RECORDS in store.tables():
        where = pc.field("digest").isin(pa.array([row["digest"] for row in rows], pa.binary(16)))
        table = store.read_table(CONSENT_RECORDS, ["digest", *_SEEN], where=where)
        sighted = {row.pop("digest"): row for row in table.to_pylist()}
    for row in rows:
        row["seen"] = sighted.get(row.pop("digest"))


def registered_of(registry: Registry, person: Person) -> Section:
    """What the registry says of a person."""
    rows: list[dict[str, Any]] = []
    if person.name is not None:
        known = registry.subjects.attributes_of(person.name)
        rows.append(
            {
                "person": person.name,
                "identifiers": [{"type": each.type, "value": each.value} for each in person.identifiers],
                "identifiers_held_back": dict(person.held_back),
                "region": known.region,
                "age": known.age,
                "relation": known.relation,
                "opt_out": known.opt_out,
            }
        )
    about = "Who the person is in the registry of people, and what the rules are told of them."
    return Section("registry", "Entry in the registry of people", about, rows)


__all__ = ["OwnRecords", "records_of", "registered_of"]
