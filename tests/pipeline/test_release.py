"""Releases end to end: what everybody agreed to goes, everything else stays, whatever happens on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import validation.gate
from schemas.consent_files import append_lines
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from schemas.tables import DECISION_EXPORTS, RELEASED
from tests.pipeline.release_world import TRAINING, World, bounds, chat, meeting, plant, presence
from transforms import release_rules
from transforms.meeting_joins import mark_items
from transforms.release_content import ContentReleaser
from transforms.store import Store
from validation.facts import FactTable
from validation.gate import Gate


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Ada and Bob, both adults in the EU, in one meeting with two chat messages of Ada."""
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    made.ingest(meeting(["ada", "bob"], items=2))
    return made


@pytest.fixture
def agreed(world: World) -> World:
    """The same, and both have agreed."""
    world.say("ada")
    world.say("bob")
    return world


def nothing_released(world: World) -> bool:
    """Whether no released row exists, and no file of one lies about."""
    store = Store.open(world.store)
    return RELEASED not in store.tables() and not list((world.store / "released").rglob("*.parquet"))


# --- what goes and what stays ---------------------------------------------------------------------------


def test_what_everybody_agreed_to_is_released_and_nothing_else(agreed: World) -> None:
    agreed.ingest(meeting(["ada", "bob", "eve"], "m2"), "second.jsonl")
    ledger = agreed.release()
    assert ledger["outcomes"] == {"QUARANTINE": 1, "RELEASE": 2}
    rows = agreed.released()
    assert sorted(row["parts"][0]["value"] for row in rows) == [
        b'"saying m1-chat-0"',
        b'"saying m1-chat-1"',
    ]
    assert {(row["purpose"], row["kind"], row["recipient"]) for row in rows} == {
        (TRAINING, "chat", "first_party")
    }
    assert [row["record_ids"] for row in rows] == [["r00001", "r00002"]] * 2
    assert [row["terms"] for row in rows] == [["example-2026-01"]] * 2


def test_one_who_said_nothing_holds_it(world: World) -> None:
    world.say("ada")
    ledger = world.release()
    assert (ledger["outcomes"], ledger["released"]) == ({"QUARANTINE": 2}, 0)
    (row,) = world.classes()
    assert row["reasons"] == ["NOT_ALL_PARTICIPANTS", "NO_CONSENT"]
    assert [(one["agrees"], one["people"]) for one in row["outcomes"]] == [(False, 1), (True, 1)]
    assert nothing_released(world)


def test_a_record_of_a_time_that_no_table_can_hold_stops_no_release(agreed: World) -> None:
    for time in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        agreed.say("eve", event_time=time, ingested_at=time)
        unsigned = {"event": {"event_state": "ConsentGiven", "event_time": time}}
        with agreed.consents.open("a") as file:
            file.write(json.dumps({**unsigned, "x-meeting": {"ingested_at": time}}) + "\n")
    assert agreed.release()["released"] == 2


def test_a_withdrawal_stops_what_has_not_gone(agreed: World) -> None:
    agreed.say("bob", "withdrawn", event_time="2026-03-05T00:00:00Z", ingested_at="2026-03-05T00:00:01Z")
    assert agreed.release()["outcomes"] == {"ERASE": 2}
    assert nothing_released(agreed)


def test_every_release_has_its_lineage(agreed: World) -> None:
    ledger = agreed.release()
    (export,) = agreed.rows(DECISION_EXPORTS)
    assert (export["items"], export["records"], export["decisions"]) == (2, 2, 1)
    assert (export["sources"], export["terms"]) == (["cofferdam"], ["example-2026-01"])
    (file,) = Store.open(agreed.store).files(RELEASED)
    assert export["files"] == [{"path": file.path, "rows": 2, "sha256": file.sha256}]
    assert export["release_suite_hash"] == ledger["release_suite_hash"]


def test_the_decision_is_logged_again_at_the_sink(agreed: World) -> None:
    agreed.release()
    (first,), (second,) = agreed.classes(), agreed.classes(stage="sink")
    assert {**first, "stage": "sink"} == second


def test_an_identifier_of_two_people_is_nobodys(agreed: World) -> None:
    shared = {"identifiers": [{"type": "cofferdam.user_id", "value": "bob"}], "region": "eu", "age": "adult"}
    agreed.people(
        {"ada": {"region": "eu", "age": "adult", "relation": "guest"}, "bob": shared, "eve": shared}
    )
    assert agreed.release()["released"] == 0
    assert "PARTICIPANT_UNIDENTIFIED" in agreed.reasons()


def test_records_count_under_every_identifier_of_a_person(world: World) -> None:
    alias = {"identifiers": [{"type": "email", "value": "Bob@Example.org"}]}
    plain = {"region": "eu", "age": "adult", "relation": "guest"}
    world.people({"ada": plain, "bob": {**plain, **alias}})
    world.say("ada")
    world.say("bob@example.org", type="email")
    assert world.release()["released"] == 2


def test_a_no_under_another_identifier_is_the_persons(agreed: World) -> None:
    alias = {"identifiers": [{"type": "email", "value": "bob@example.org"}]}
    plain = {"region": "eu", "age": "adult", "relation": "guest"}
    agreed.people({"ada": plain, "bob": {**plain, **alias}})
    agreed.say("bob@example.org", "refused", type="email", event_time="2026-03-02T09:30:00Z")
    assert agreed.release()["outcomes"] == {"ERASE": 2}


def test_an_objection_of_the_event_holds(world: World) -> None:
    world.say("ada", scope="tenant:t1")
    world.say("bob", scope="tenant:t1")
    said = chat("objection", "ada", meeting="m2", consent={"refuses": True})
    agreed_claim = chat("claim", "eve", meeting="m3", consent={"status": "given", "refuses": False})
    events = [*meeting(["ada", "bob"], "m2"), said, *meeting(["eve"], "m3", items=0), agreed_claim]
    world.ingest(events, "more.jsonl")
    ledger = world.release()
    assert ledger["released"] == 3
    held = {row["primary"] for row in ledger["decisions"] if row["decision"] != "RELEASE"}
    assert held == {"DISPUTED_WITHDRAWAL", "NO_CONSENT"}


def test_late_joiners_count_while_they_are_there(world: World) -> None:
    world.adults("ada", "bob", "eve")
    for name in ("ada", "bob"):
        world.say(name, scope="tenant:t1")
    events = [
        *bounds("m2"),
        *presence("ada", "10:00", "11:00", "m2"),
        *presence("eve", "10:40", "10:50", "m2"),
    ]
    times = {"before": "10:39", "joining": "10:40", "leaving": "10:50", "after": "10:51"}
    events += [chat(name, "ada", time, "m2") for name, time in times.items()]
    world.ingest(events, "m2.jsonl")
    world.release()
    texts = {row["parts"][0]["value"].decode() for row in world.released()}
    assert {text for text in texts if "m1" not in text} == {'"saying before"', '"saying after"'}


# --- the cases of the specification -----------------------------------------------------------------------


def test_p01_a_missing_fact_fails_the_batch(agreed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = FactTable.row
    monkeypatch.setattr(FactTable, "row", lambda self, found: (None, *row(self, found)[1:]))
    with pytest.raises(PromiseBroken, match="GATE"):
        agreed.release()
    assert nothing_released(agreed)


def test_p02_items_that_do_not_reach_the_gate_fail_the_run(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "transforms.gather_meetings.mark_items"
    monkeypatch.setattr(target, lambda items, known: mark_items(items, known)[:0])
    with pytest.raises(PromiseBroken, match="RELEASE_DOES_NOT_RECONCILE"):
        agreed.release()
    assert nothing_released(agreed)


@pytest.mark.parametrize("change", ["missing", "other"])
def test_p03_a_suite_that_is_not_the_pinned_one_stops_the_run(
    agreed: World, tmp_path: Path, change: str
) -> None:
    from pipelines.consent_registry import open_registry
    from validation.pins import make_pins

    pins = make_pins(open_registry(agreed.registry).policies)
    name = next(iter(pins["suites"]))
    pins["suites"] |= {name: "0" * 64}
    if change == "missing":
        del pins["suites"][name]
    (tmp_path / "pins.json").write_text(json.dumps(pins))
    agreed.consents.unlink()  # nothing is read before the pins are checked
    with pytest.raises(PromiseBroken, match="SUITE_NOT_PINNED"):
        agreed.release(pins=tmp_path / "pins.json")


def test_p04_an_expectation_that_no_row_exercises_fails(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_rules._decider.cache_clear()  # it remembers verdicts
    monkeypatch.setattr(validation.gate, "make_probes", lambda suite: [suite.table.row({})])
    with pytest.raises(PromiseBroken, match="GATE_NOT_PROVEN"):
        agreed.release()


def with_own_policies(world: World, change: Callable[[dict[str, Any]], object]) -> None:
    """Give the registry policies of its own."""
    from validation.policy_loading import SHIPPED_PROFILES

    document = json.loads(SHIPPED_PROFILES.read_text())
    change(document)
    (world.registry / "policies.json").write_text(json.dumps(document))
    (world.registry / "registry.json").unlink()
    world.pin()


def test_p05_policies_that_tolerate_failures_are_refused(agreed: World) -> None:
    with_own_policies(agreed, lambda document: document["profiles"]["eu"].update(mostly=0.99))
    with pytest.raises(ConfigurationError, match="POLICY_MOSTLY"):
        agreed.release()


def test_p06_records_or_registry_that_cannot_be_read_stop_the_run(agreed: World) -> None:
    agreed.consents.unlink()
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        agreed.release()
    (agreed.registry / "terms.json").unlink()
    with pytest.raises(InfrastructureFault, match="REGISTRY_UNREADABLE"):
        agreed.release()


def meanwhile(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Let something happen when everything is decided and written, and nothing is committed."""
    close = ContentReleaser.close

    def closing(self: ContentReleaser) -> Any:
        what()
        return close(self)

    monkeypatch.setattr(ContentReleaser, "close", closing)


@pytest.mark.parametrize("lost", ["records", "registry"])
def test_p06_what_is_lost_during_the_run_holds_everything(
    agreed: World, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    target = agreed.consents if lost == "records" else agreed.registry
    meanwhile(monkeypatch, lambda: target.rename(target.with_name("gone")))
    ledger = agreed.release()
    assert ledger["stopped"] in ("CONSENTS_UNREADABLE", "REGISTRY_UNREADABLE")
    assert ledger["released"] == 0
    assert nothing_released(agreed)


def test_p07_an_expectation_that_raises_fails_the_batch(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Gate._run
    release_rules._decider.cache_clear()  # it remembers verdicts

    def raising(self: Gate, suite: Any, batch: Any) -> Any:
        first, *others = run(self, suite, batch)
        return [{**first, "exception_info": {"raised_exception": True}}, *others]

    monkeypatch.setattr(Gate, "_run", raising)
    with pytest.raises(PromiseBroken, match="GATE_NOT_PROVEN"):
        agreed.release()
    assert nothing_released(agreed)


@pytest.mark.parametrize("word", ["false", 0])
def test_p08_flags_of_another_type_are_not_coerced(world: World, word: object) -> None:
    world.say("ada")
    signed = changed_record(world, "bob", lambda record: record["x-meeting"].update(bundled=word))
    append_lines(world.consents, [signed])
    assert world.release()["released"] == 0
    assert "BUNDLED" in world.reasons()


def changed_record(world: World, person: str, change: Callable[[dict[str, Any]], object]) -> str:
    """A record that is signed well and not of its form."""
    from schemas.consent_signing import read_payload, sign_record

    payload, _ = read_payload(world.record(person))
    change(payload)
    return sign_record(payload, world.signer.key, world.signer.kid)


def test_p09_two_items_of_one_id_are_both_held(agreed: World) -> None:
    again = chat("m1-chat-0", "ada", time="10:31")
    agreed.ingest([again], "again.jsonl", digest_since=date(2030, 1, 1))
    ledger = agreed.release()
    assert (ledger["items"], ledger["ambiguous"], ledger["released"]) == (3, 2, 1)
    assert {row["primary"] for row in ledger["decisions"] if row["decision"] != "RELEASE"} == {
        "CLASS_UNKNOWN"
    }


def test_p10_a_withdrawal_between_decision_and_commit_aborts_the_write(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {"event_time": "2026-03-09T00:00:00Z", "ingested_at": "2026-03-09T00:00:01Z"}
    meanwhile(monkeypatch, lambda: agreed.say("bob", "withdrawn", **late))
    ledger = agreed.release()
    assert (ledger["stopped"], ledger["lost_at_sink"]) == ("RELEASE_OVERTAKEN", 2)
    assert nothing_released(agreed)
    assert [row["decision"] for row in agreed.classes()] == ["RELEASE"]
    assert [row["primary"] for row in agreed.classes(stage="sink")] == ["WITHDRAWN"]
    monkeypatch.undo()
    assert agreed.release()["outcomes"] == {"ERASE": 2}


def test_p10_a_record_that_changes_nothing_does_not_stop_the_release(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: agreed.say("zoe"))
    ledger = agreed.release()
    assert (ledger["stopped"], ledger["released"]) == (None, 2)
    assert ledger["records"]["seen"] != ledger["records"]["seen_at_sink"]
    assert [row["decision"] for row in agreed.classes(stage="sink")] == ["RELEASE"]


def test_p11_content_reaches_released_alone(agreed: World, capfd: pytest.CaptureFixture[str]) -> None:
    agreed.ingest([*bounds("m2"), chat("canary-5f1e", "ada", meeting="m2")], "canary.jsonl")
    from pipelines.explain_item import as_text, explain_item
    from pipelines.release_report import print_release

    ledger = agreed.release()
    print_release(ledger, str(agreed.store), 1.0)
    for row in agreed.item_rows():
        print(as_text(explain_item(str(agreed.store), row["item_id"])))
    shown = capfd.readouterr()
    assert "saying" not in shown.out + shown.err
    assert not any(
        b"saying canary-5f1e" in path.read_bytes() for path in agreed.store.rglob("*") if path.is_file()
    )


def test_p12_running_again_releases_nothing_twice(agreed: World) -> None:
    first, second = agreed.release(), agreed.release()
    assert (first["released"], second["released"], second["released_before"]) == (2, 0, 2)
    assert len(agreed.released()) == 2
    one, other = agreed.classes(first["run_id"]), agreed.classes(second["run_id"])
    assert [row["decision_id"] for row in one] == [row["decision_id"] for row in other]


def test_p13_other_policies_have_another_hash_and_old_decisions_replay(agreed: World) -> None:
    old = agreed.release()
    shutil.copytree(agreed.registry, agreed.folder / "old-registry")
    with_own_policies(agreed, lambda document: document["profiles"]["eu"].update(max_age_days=1))
    new = agreed.release()
    assert new["policy_hash"] != old["policy_hash"]
    assert {row["primary"] for row in new["decisions"]} == {"STALE"}
    replayed = agreed.release(registry=agreed.folder / "old-registry")
    runs = [agreed.classes(ledger["run_id"]) for ledger in (old, replayed)]
    assert [row["decision_id"] for row in runs[0]] == [row["decision_id"] for row in runs[1]]


def test_p14_every_item_has_one_outcome(agreed: World) -> None:
    agreed.ingest(meeting(["eve"], "m2", items=3), "second.jsonl")
    ledger = agreed.release(purposes=(TRAINING, "transcription"))
    assert sum(ledger["outcomes"].values()) == 2 * ledger["items"] == 2 * 5
    rows = agreed.item_rows()
    decided = [(row["item_id"], row["purpose"]) for row in rows if row["stage"] == "decide"]
    assert len(decided) == len(set(decided)) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"decision_id": "0" * 32},
        {"decision": "QUARANTINE"},
        {"reasons": ["REFUSED"]},
        {"item_id": "0" * 32},
        {"record_ids": []},
        {"purpose": "ai_evaluation"},
        {"policy_hash": None},
    ],
)
def test_rows_that_are_not_as_decided_are_never_committed(
    agreed: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    plant(monkeypatch, lambda rows: [{**row, **change} for row in rows])
    with pytest.raises((PromiseBroken, InfrastructureFault)):
        agreed.release()
    assert nothing_released(agreed)
    assert Store.open(agreed.store).version == 1


def test_a_store_without_items_has_nothing_to_decide(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path, keys)
    world.ingest(bounds())
    ledger = world.release()
    assert (ledger["items"], ledger["outcomes"], ledger["released"]) == (0, {}, 0)
    assert ledger["records"]["test_keys"] == [world.signer.kid]  # it signed for the registry


# --- openings -----------------------------------------------------------------------------------------------


def test_nothing_is_opened_for_what_is_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> Iterable[object]:
        raise AssertionError("opened")

    monkeypatch.setattr(ContentReleaser, "release", opened)
    assert world.release()["openings"] == {"blobs": 0, "items": 0, "beside": 0}


def test_what_does_not_open_stays_held(agreed: World) -> None:
    import pyarrow.parquet as pq

    from schemas.tables import FIXED_TABLES, QUARANTINE_KEYS

    store = agreed.sealed_store()
    files = store.files(QUARANTINE_KEYS)
    kept = store.read_table(QUARANTINE_KEYS).filter(pq.filters_to_expression([("covers", "==", "bundle")]))
    with store.writer("shred-00001", QUARANTINE_KEYS, FIXED_TABLES[QUARANTINE_KEYS]) as writer:
        writer.append(kept)
        store.commit("shred-00001", writer.close(), {}, removes=[file.path for file in files])
    ledger = agreed.release()
    assert (ledger["released"], ledger["unopened"]) == (0, {"SEAL_BROKEN": 2})
    assert nothing_released(agreed)
