"""Rows that are completed keep what they have, and lose no row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, QUARANTINE_KEYS, ROSTER
from transforms.reprocess_effects import Effects, merged_flag
from transforms.reprocess_rewrite import (
    Change,
    Completion,
    with_claims,
    with_presence,
    with_values,
    without_keys,
)
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA

SCHEMA = pa.schema(
    [("event_id", pa.string()), ("contract", pa.string()), ("size", pa.int64()), ("new", pa.string())]
)


def flag(**told: Any) -> dict[str, Any]:
    return {"record_ids": None, "purposes": None, "refuses": None, **told}


def rows(*values: tuple[str, int | None]) -> pa.Table:
    names, sizes = zip(*values, strict=True)
    return pa.table(
        {"event_id": names, "contract": ["c@1"] * len(names), "size": pa.array(sizes, pa.int64())}
    )


def test_values_complete_rows_and_replace_none() -> None:
    given = pa.table({"event_id": ["b", "a"], "size": [5, 6], "new": ["x", None]})
    found, number = with_values(rows(("a", 1), ("b", None), ("c", None)), given, SCHEMA, "c@2")
    assert number == 2
    assert found.to_pylist() == [
        {"event_id": "a", "contract": "c@2", "size": 1, "new": None},
        {"event_id": "b", "contract": "c@2", "size": 5, "new": "x"},
        {"event_id": "c", "contract": "c@1", "size": None, "new": None},
    ]


def test_rows_of_an_array_are_told_apart_by_their_place() -> None:
    schema = pa.schema([("event_id", pa.string()), ("position", pa.int32()), ("size", pa.int64())])
    plain = pa.table(
        {"event_id": ["a", "a"], "position": pa.array([0, 1], pa.int32()), "size": pa.nulls(2, pa.int64())}
    )
    given = pa.table({"event_id": ["a"], "position": pa.array([1], pa.int32()), "size": [7]})
    found, number = with_values(plain, given, schema, "c@2")
    assert (found.column("size").to_pylist(), number) == ([None, 7], 1)


def test_a_person_gains_identifiers_and_keeps_those_they_have() -> None:
    known, more = {"type": "id", "pseudonym": "p"}, {"type": "email", "pseudonym": "q"}
    plain = {"event_id": "a", "subjects": [known], "channel": "app"}
    table = pa.Table.from_pylist([plain, {"event_id": "b"}], schema=FIXED_TABLES[ROSTER])
    told = {"a": {"subjects": [known, more], "channel": "phone", "region": "eu"}}
    first, second = with_presence(table, told).to_pylist()
    assert (first["subjects"], first["channel"], first["region"]) == ([known, more], "app", "eu")
    assert (second["subjects"], second["region"]) == (None, None)


def test_claims_make_stricter_and_never_milder() -> None:
    plain = {"event_id": "a", "derived_from": ["audio"], "consent_flag": flag(refuses=True, record_ids=["r"])}
    table = pa.Table.from_pylist([plain, {"event_id": "b"}], schema=FIXED_TABLES[QUARANTINE_ITEMS])
    claims = {
        "consent_flag": flag(refuses=False, record_ids=["s"]),
        "derived_from": ["unreadable"],
        "region": "eu",
    }
    found = {row["event_id"]: row for row in with_claims(table, {"a": claims}).to_pylist()}
    assert found["a"]["consent_flag"] == flag(refuses=True, record_ids=["r", "s"])
    assert (found["a"]["derived_from"], found["a"]["region"]) == (["audio", "unreadable"], "eu")
    assert found["b"]["consent_flag"] is None


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        (None, None, None),
        (None, flag(refuses=True), flag(refuses=True)),
        (flag(refuses=False), flag(), flag(refuses=False)),
        (flag(purposes=["a"]), flag(purposes=["b"]), flag(purposes=["a", "b"])),
        (flag(purposes=["a"]), flag(refuses=True), flag(refuses=True)),
    ],
)
def test_two_readings_of_a_claim_say_every_no(old: Any, new: Any, both: Any) -> None:
    """A no that names no purpose is about all of them."""
    assert merged_flag(old, new) == both


def test_keys_go_and_bundles_that_wrap_nothing() -> None:
    ids = [bytes([number]) * 16 for number in range(4)]
    covers = [COVERS_BUNDLE, COVERS_DATA, COVERS_DATA, COVERS_BUNDLE]
    given = [{"key_id": key, "covers": word} for key, word in zip(ids, covers, strict=True)]
    table = pa.Table.from_pylist(given, schema=FIXED_TABLES[QUARANTINE_KEYS])
    found = without_keys(table, frozenset({ids[1], ids[3]}), frozenset({ids[0], ids[2]}))
    assert found.column("key_id").to_pylist() == [ids[2], ids[3]]


def test_no_text_of_what_changes_holds_a_value() -> None:
    row = {"event_id": "a", "size": 5, "why": "Anna said"}
    completion = Completion(roster={"a": row}, claims={"a": row}, folders={"a": "date=unknown"})
    completion.add_telemetry("t", pa.schema([("event_id", pa.string()), ("why", pa.string())]), [row])
    effects = Effects(completes={"t": [row]}, adds={"t": [row]}, roster=row, signals=[row], claims=row)
    change = Change(roster={"a": row}, claims={"a": row}, values=completion.telemetry["t"])
    assert "Anna" not in "".join(map(repr, (completion, effects, change)))
