"""When a record arrived, from its signature to the decision: late yeses need an attestation, noes never."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.consent_files import append_lines
from schemas.consent_signing import sign_record
from schemas.tables import QUARANTINE_ITEMS
from tests.pipeline.release_world import World, meeting
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms

ASKED = "2026-03-02T09:00:00Z"
"""Before every meeting; seven days later is a day before the decision."""

ATTESTED = {"source_system": "old", "source_file_sha256": "0" * 64, "source_line": 1}
RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "at-once": ({"ingested_at": "2026-03-02T09:00:01Z"}, "OK"),
    "within-a-week": ({"ingested_at": "2026-03-09T09:00:00Z"}, "OK"),
    "after-a-week": ({"ingested_at": "2026-03-09T09:00:01Z"}, "BACKDATED"),
    "illegible": ({"ingested_at": ASKED, "says": "yesterday"}, "BACKDATED"),
    "unsaid": ({"ingested_at": ASKED, "says": None}, "BACKDATED"),
    "attested": ({"ingested_at": "2026-03-09T23:00:00Z", "attested": True}, "OK"),
    "attested-by-another": ({"ingested_at": "2026-03-09T23:00:00Z", "attested": False}, "BACKDATED"),
    "late-no": ({"ingested_at": "2026-03-09T23:00:00Z", "status": "refused"}, "REFUSED"),
}
"""What somebody's record says of its arrival, and the reason that follows; one meeting each."""


def say(world: World, person: str, ingested_at: str, status: str = "given", **more: Any) -> None:
    changes: dict[str, Any] = {"event_time": ASKED, "ingested_at": ingested_at, "scope": f"meeting:{person}"}
    if "attested" in more:
        kid = world.signer.kid if more["attested"] else "somebody-else"
        changes["import_attestation"] = {**ATTESTED, "attester_kid": kid}
    token = world.record(person, status, **changes)
    if "says" in more:
        part = token.split(".")[1]
        record = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        record["x-meeting"]["ingested_at"] = more["says"]
        token = sign_record(record, world.signer.key, world.signer.kid)
    append_lines(world.consents, [token])


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> dict[str, dict[str, Any]]:
    """The class of each person's meeting with themselves."""
    world = World(tmp_path_factory.mktemp("arrival"), keys)
    world.adults(*RECORDS)
    world.ingest([each for person in RECORDS for each in meeting([person], person)])
    for person, (record, _) in RECORDS.items():
        say(world, person, **record)
    world.release()
    rows = {row["item_id"]: row["decision_id"] for row in world.item_rows()}
    classes = {row["decision_id"]: row for row in world.classes()}
    assert len(rows) == len(RECORDS)
    named = {item["item_id"]: item["meeting_join"] for item in world.rows(QUARANTINE_ITEMS)}
    order = dict(zip(meetings_of(world), RECORDS, strict=True))
    return {order[named[item]]: classes[decision] for item, decision in rows.items()}


def meetings_of(world: World) -> list[str]:
    """The join pseudonyms of the meetings, in the order of `RECORDS`."""
    pseudonyms = join_pseudonyms(load_release_keys(world.keys / "release"))
    return [pseudonyms.pseudonym(person, identifier_type="meeting") for person in RECORDS]


@pytest.mark.parametrize("person", RECORDS)
def test_a_yes_that_came_late_counts_only_if_its_import_is_attested(
    person: str, decided: dict[str, dict[str, Any]]
) -> None:
    row, reason = decided[person], RECORDS[person][1]
    assert (row["primary"], row["decision"] == "RELEASE") == (reason, reason == "OK")
