"""A small world for tests of releases: people in meetings, what they agreed to, and a registry of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.run_release import ReleaseOptions, run_release
from schemas.consent_building import build_record
from schemas.consent_files import append_lines
from schemas.consent_rows import Identifier
from schemas.consent_signing import sign_record
from schemas.registry import load_registry
from schemas.registry_writing import compare_pins, read_private_key, write_pins, write_starter
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, RELEASED
from tests.pipeline.support import ingest, lines_file
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.release_content import ContentReleaser
from transforms.release_rules import ReleaseRequest
from transforms.store import Store

Event = dict[str, Any]
AS_OF = "2026-03-10T00:00:00Z"
TRAINING = "ai_training"
TENANT = "t1"
DECLARED = {
    "e2ee": False,
    "capture": "all_prior",
    "special": False,
    "phi": False,
    "edu": False,
    "third_party_mention": False,
    "storage_region": "eu",
}


def event(kind: str, identity: str, time: str, meeting: str = "m1", **data: Any) -> Event:
    """One event of a Cofferdam platform; `time` is a time of day on 2 March 2026."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "urn:example:platform",
        "type": f"io.cofferdam.{kind}.v1",
        "time": at(time),
        "data": {"tenant_id": TENANT, "meeting_id": meeting, **data},
    }


def at(time: str) -> str:
    """A time of day on 2 March 2026."""
    return f"2026-03-02T{time}:00Z"


def presence(
    person: str, joined: str | None, left: str | None, meeting: str = "m1", **about: Any
) -> list[Event]:
    """A person joins and leaves; None for an event that is missing."""
    who = {"user_id": person, "join_id": f"visit-{meeting}-{person}-{joined}", **about}
    events = []
    if joined is not None:
        name = f"{meeting}-{person}-join-{joined}"
        events.append(event("meeting.participant.joined", name, joined, meeting, participant=who))
    if left is not None:
        events.append(
            event(
                "meeting.participant.left", f"{meeting}-{person}-left-{left}", left, meeting, participant=who
            )
        )
    return events


def bounds(meeting: str = "m1", start: str = "10:00", end: str = "11:00") -> list[Event]:
    """A meeting starts and ends."""
    return [
        event("meeting.started", f"{meeting}-start", start, meeting),
        event("meeting.ended", f"{meeting}-end", end, meeting),
    ]


def chat(identity: str, sender: str | None, time: str = "10:30", meeting: str = "m1", **more: Any) -> Event:
    """A chat message."""
    who = {} if sender is None else {"participant": {"user_id": sender, **more.pop("about", {})}}
    text = f"saying {identity}"
    return event("chat.message.sent", identity, time, meeting, message_id=identity, text=text, **who, **more)


def meeting(people: Sequence[str], name: str = "m1", items: int = 1) -> list[Event]:
    """A meeting with all people from its start to its end, and chat of the first of them."""
    events = bounds(name)
    for person in people:
        events += presence(person, "10:00", "11:00", name)
    return [*events, *(chat(f"{name}-chat-{number}", people[0], meeting=name) for number in range(items))]


@dataclass
class World:
    """Registry, records, events and a store in one folder."""

    folder: Path
    keys: Path
    signer: Any = None
    _ids: int = 0
    tenants: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signer = read_private_key(write_starter(self.registry, valid_from="2020-01-01T00:00:00Z"))
        entry = json.loads((self.registry / "tenants.json").read_text())
        entry["tenants"] = {TENANT: {**entry["tenants"]["example-tenant"], "declared": dict(DECLARED)}}
        self.tenants = entry
        self.consents.parent.mkdir(parents=True, exist_ok=True)
        self.consents.write_bytes(b"")
        self.write_tenants()
        self.people({})

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def consents(self) -> Path:
        return self.folder / "consents" / "records.jsonl"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def sealed_store(self) -> Store:
        """The store, opened as whoever has its keys opens it."""
        return Store.open(self.store, seal_of(load_ingest_keys(self.keys / "ingest")))

    def pin(self) -> None:
        write_pins(self.registry, compare_pins(self.registry)[1])

    def write_tenants(self) -> None:
        (self.registry / "tenants.json").write_text(json.dumps(self.tenants))
        self.pin()

    def declare(self, **declared: Any) -> None:
        self.tenants["tenants"][TENANT]["declared"] |= declared
        self.write_tenants()

    def people(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Register people by user id; `identifiers` may link more of them."""
        lines = [
            {
                "person": f"p-{name}",
                "identifiers": [{"type": "cofferdam.user_id", "value": name}, *about.get("identifiers", ())],
                **{key: value for key, value in about.items() if key != "identifiers"},
            }
            for name, about in known.items()
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.registry / "subjects.jsonl").write_text(text)
        self.pin()

    def adults(self, *names: str, **about: Any) -> None:
        plain = {"region": "eu", "age": "adult", "relation": "guest", **about}
        self.people(dict.fromkeys(names, plain))

    def record(self, person: str, status: str = "given", **changes: Any) -> str:
        """A signed record."""
        self._ids += 1
        kind = changes.pop("type", "cofferdam.user_id")
        fields = {
            "id": f"r{self._ids:05d}",
            "subject": Identifier(kind, person),
            "status": status,
            "mechanism": "explicit_statement",
            "purposes": [TRAINING],
            "kinds": ["chat", "audio"],
            "scope": "meeting:m1",
            "recipients": ["first_party"],
            "terms": "example-2026-01",
            "event_time": "2026-03-02T09:00:00Z",
            "ingested_at": "2026-03-02T09:00:01Z",
            "controller": "example-controller",
            **changes,
        }
        record = build_record(fields, load_registry(self.registry))
        return sign_record(record, self.signer.key, self.signer.kid)

    def say(self, person: str, status: str = "given", **changes: Any) -> None:
        """Append a signed record."""
        append_lines(self.consents, [self.record(person, status, **changes)])

    def ingest(self, events: Iterable[Event | bytes], name: str = "events.jsonl", **changes: Any) -> None:
        ingest(lines_file(self.folder / name, list(events)), self.store, self.keys, **changes)

    def options(self, **changes: Any) -> ReleaseOptions:
        asked = {"purposes": (TRAINING,), "recipient": "first_party", "as_of": AS_OF}
        own = {
            name: changes.pop(name) for name in list(changes) if name in ReleaseRequest.__dataclass_fields__
        }
        plain: dict[str, Any] = {
            "store": str(self.store),
            "keys": self.keys / "release",
            "consents": (self.consents,),
            "registry": self.registry,
            "allow_test_keys": True,
        }
        return ReleaseOptions(request=ReleaseRequest(**{**asked, **own}), **{**plain, **changes})

    def release(self, **changes: Any) -> dict[str, Any]:
        return run_release(self.options(**changes), show_progress=False)

    def rows(self, table: str) -> list[dict[str, Any]]:
        store = Store.open(self.store)
        return store.read_table(table).to_pylist() if table in store.tables() else []

    def released(self) -> list[dict[str, Any]]:
        return sorted(self.rows(RELEASED), key=lambda row: row["item_id"])

    def classes(self, run_id: str | None = None, stage: str = "decide") -> list[dict[str, Any]]:
        rows = self.rows(DECISION_CLASSES)
        return [row for row in rows if row["stage"] == stage and run_id in (None, row["run_id"])]

    def reasons(self) -> set[str]:
        """All reasons of the first look of all runs."""
        return {code for row in self.classes() for code in row["reasons"]}

    def item_rows(self) -> list[dict[str, Any]]:
        return self.rows(DECISION_ITEMS)


def plant(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    """Change the rows of a release on their way to the files."""
    write = ContentReleaser._write

    def faulty(self: ContentReleaser, rows: pa.Table) -> None:
        write(self, pa.Table.from_pylist(fault(rows.to_pylist()), schema=rows.schema))

    monkeypatch.setattr(ContentReleaser, "_write", faulty)
