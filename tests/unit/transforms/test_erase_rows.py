from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import FIXED_TABLES, ROSTER, column, telemetry_columns
from transforms.erase_reach import Scope, Space
from transforms.erase_rows import Edit, edit_roster, edit_signals, edit_telemetry, edited, names_somebody

ADA, BOB, EVE = "a" * 32, "b" * 32, "e" * 32
M1, M2, T1 = "1" * 32, "2" * 32, "f" * 32
PERSON = "identifier.pseudonymous"


def telemetry(*rows: dict[str, Any]) -> pa.Table:
    """Rows of a table with a host, a list of people and a measure."""
    schema = pa.schema(
        [
            *telemetry_columns(),
            column("host", pa.string(), "Host", classification=PERSON),
            column("mentions", pa.list_(pa.field("element", pa.string())), "People", classification=PERSON),
            column("loss", pa.float64(), "Loss", classification="service.telemetry"),
        ]
    )
    named = [
        {"event_id": f"{number:032x}", "tenant": T1, "meeting": M1, **row} for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(named, schema=schema)


def test_rows_about_the_person_go_and_others_lose_the_name() -> None:
    rows = telemetry(
        {"participant": ADA, "loss": 1.0},
        {"participant": BOB, "host": ADA, "mentions": [EVE, ADA], "loss": 2.0},
        {"participant": BOB, "host": BOB, "mentions": [EVE], "loss": 3.0},
        {"participant": None, "host": None, "mentions": None, "loss": 4.0},
    )
    found = edit_telemetry(rows, Space(people=frozenset({ADA})))
    assert (found.gone, found.changed) == (1, 1)
    assert found.rows.schema.equals(rows.schema, check_metadata=True)
    kept = found.rows.select(["participant", "host", "mentions", "loss"]).to_pylist()
    assert kept == [
        {"participant": BOB, "host": None, "mentions": [EVE], "loss": 2.0},
        {"participant": BOB, "host": BOB, "mentions": [EVE], "loss": 3.0},
        {"participant": None, "host": None, "mentions": None, "loss": 4.0},
    ]
    assert set(found.events) == {f"{number:032x}" for number in (0, 1)}


def test_a_row_about_a_visit_goes_wherever_the_visit_is_named() -> None:
    rows = telemetry({"host": ADA}, {"host": BOB})
    found = edit_telemetry(rows, Space(visits=frozenset({ADA})))
    assert (found.gone, found.rows.column("host").to_pylist()) == (1, [BOB])


def test_lists_are_searched_in_every_chunk() -> None:
    first = telemetry({"mentions": [EVE]}, {"mentions": None}, {"mentions": [ADA]})
    second = telemetry({"mentions": []}, {"mentions": [BOB, ADA, EVE]})
    found = edit_telemetry(pa.concat_tables([first.slice(1), second]), Space(people=frozenset({ADA})))
    assert found.rows.column("mentions").to_pylist() == [None, [], [], [BOB, EVE]]
    assert (found.gone, found.changed) == (0, 2)


def test_whole_meetings_and_tenants_go_but_for_those_that_are_spared_or_held() -> None:
    rows = telemetry({"meeting": M1}, {"meeting": M2}, {"meeting": None}, {"tenant": None, "meeting": M1})
    whole = Scope(tenants=frozenset({T1}), spared=frozenset({M2}))
    assert edit_telemetry(rows, Space(gone=whole)).gone == 2
    single = Space(gone=Scope(meetings=frozenset({M1})))
    assert edit_telemetry(rows, single).gone == 2
    held = Space(gone=whole, held=Scope(meetings=frozenset({M1})))
    assert edit_telemetry(rows, held).rows.column("meeting").to_pylist() == [M1, M2, M1]


def roster(*rows: dict[str, Any]) -> pa.Table:
    plain = {"tenant_join": T1, "meeting_join": M1, "event": "join", "is_host": True, "role": "host"}
    found = [
        {**plain, "event_id": f"{number:032x}", **row, "subjects": subjects(*row.get("subjects", ()))}
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(found, schema=FIXED_TABLES[ROSTER])


def subjects(*people: str) -> list[dict[str, str]]:
    return [{"type": "zoom.user_id", "pseudonym": person} for person in people]


def test_somebody_nameless_takes_the_place_on_a_roster() -> None:
    rows = roster(
        {"subjects": [ADA], "join_pseudonym": "v1", "region": "eu"},
        {"subjects": [], "join_pseudonym": "v1", "event": "leave"},
        {"subjects": [BOB], "join_pseudonym": "v2"},
    )
    found = edit_roster(rows, Space(people=frozenset({ADA}), visits=frozenset({"v1"})), b"secret")
    assert (found.gone, found.changed, found.rows.num_rows) == (0, 2, 3)
    bob, *nameless = found.rows.to_pylist()
    assert bob == rows.to_pylist()[2]
    assert [row["event"] for row in nameless] == ["join", "leave"]
    assert nameless[0]["join_pseudonym"] == nameless[1]["join_pseudonym"] != "v1"
    for row in nameless:
        assert (row["subjects"], row["event_id"], row["is_host"], row["role"]) == ([], None, None, None)
    assert nameless[0]["region"] == "eu"
    assert len(found.events) == 2


def test_nameless_visits_cannot_be_linked_between_meetings_or_erasures() -> None:
    rows = roster(
        {"subjects": [ADA], "join_pseudonym": None},
        {"subjects": [ADA], "join_pseudonym": None, "meeting_join": M2},
    )
    space = Space(people=frozenset({ADA}))
    names = [
        name
        for secret in (b"one", b"two")
        for name in edit_roster(rows, space, secret).rows.column("join_pseudonym").to_pylist()
    ]
    assert len(set(names)) == 4


def test_a_held_meeting_keeps_its_roster() -> None:
    rows = roster({"subjects": [ADA]}, {"subjects": [ADA], "meeting_join": M2})
    space = Space(people=frozenset({ADA}), held=Scope(meetings=frozenset({M1})))
    assert names_somebody(edit_roster(rows, space, b"").rows, space.people).sum() == 1


def test_signals_about_the_person_go_and_others_lose_the_name() -> None:
    schema = pa.schema(
        [FIXED_TABLES[ROSTER].field(name) for name in ("tenant_join", "meeting_join", "subjects", "event_id")]
    ).append(column("names", pa.string(), "What is deleted"))
    rows = pa.Table.from_pylist(
        [
            {"subjects": subjects(ADA), "names": "person"},
            {"subjects": subjects(ADA, BOB), "names": "piece"},
            {"subjects": subjects(BOB), "names": "person"},
        ],
        schema=schema,
    )
    found = edit_signals(rows, Space(people=frozenset({ADA})))
    assert (found.gone, found.changed) == (1, 1)
    assert found.rows.column("subjects").to_pylist() == [subjects(BOB), subjects(BOB)]


@pytest.mark.parametrize(
    "table", ["quarantine/items", "quarantine/blobs", "quarantine/keys", "quarantine/rejected"]
)
def test_rows_go_with_their_data_key(table: str) -> None:
    rows = pa.table({"key_id": pa.array([b"k" * 16, b"l" * 16, None], pa.binary(16))})
    found = edited(Edit("p", table, keys=frozenset({b"k" * 16})), rows)
    assert (found.gone, found.rows.column("key_id").to_pylist()) == (1, [b"l" * 16, None])


def test_copies_go_by_item_and_purpose() -> None:
    rows = pa.table({"item_id": ["i1", "i1", "i2"], "purpose": ["p", "q", "p"], "event_id": ["e", "e", "f"]})
    found = edited(Edit("p", "released", released=frozenset({"i1|q"})), rows)
    assert (found.gone, found.events) == (1, ())
    assert found.rows.column("item_id").to_pylist() == ["i1", "i2"]


def test_an_edit_tells_the_folder_of_its_file_and_shows_no_name() -> None:
    edit = Edit("telemetry/t/date=2026-01-02/x.parquet", "telemetry/t", Space(people=frozenset({ADA})))
    assert edit.folder == "date=2026-01-02"
    assert Edit("roster/x.parquet", "roster").folder == ""
    assert ADA not in repr(edit)
