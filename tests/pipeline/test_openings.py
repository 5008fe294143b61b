"""Every opening of sealed content rests on a signed decision and is on record, also of stopped releases."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.consent_files import append_lines
from schemas.errors import PromiseBroken
from schemas.tables import OPENINGS, ROSTER
from tests.pipeline.release_world import World, meeting
from tests.unit.transforms.store_samples import forge_manifest
from transforms import release_steps
from transforms.keys import load_release_keys
from transforms.manifest_seal import ManifestSeal
from transforms.opening_warrants import check_warrant, warrant_of_row
from transforms.pseudonyms import join_pseudonyms
from transforms.release_content import ContentReleaser, with_warrants
from transforms.store import Store


@pytest.fixture
def agreed(tmp_path: Path, keys: Path) -> World:
    """Ada and Bob agree; two messages of Ada in their meeting, one in another that Eve has joined."""
    world = World(tmp_path, keys)
    world.adults("ada", "bob")
    world.ingest([*meeting(["ada", "bob"], items=2), *meeting(["ada", "eve"], "m2")])
    world.say("ada")
    world.say("bob")
    return world


def test_every_opening_is_on_record_with_its_signed_decision(agreed: World) -> None:
    agreed.release()
    rows, released = agreed.rows(OPENINGS), agreed.released()
    opened = {(item, row["decision_id"], row["purpose"]) for row in rows for item in row["item_ids"]}
    assert opened == {(row["item_id"], row["decision_id"], row["purpose"]) for row in released}
    assert {(row["ground"], row["outcome"], row["recipient"]) for row in rows} == {
        ("release", "opened", "first_party")
    }
    public = load_release_keys(agreed.keys / "release").log_signing_key.public_key()
    for row in rows:
        check_warrant(public, warrant_of_row(row))


def test_the_record_of_openings_holds_no_content(agreed: World) -> None:
    agreed.release()
    for file in (agreed.store / "openings").rglob("*.parquet"):
        assert b"saying" not in file.read_bytes()
    rows = agreed.rows(OPENINGS)
    assert rows
    assert "saying" not in str(rows)


def test_a_second_release_opens_nothing_again(agreed: World) -> None:
    agreed.release()
    before = len(agreed.rows(OPENINGS))
    agreed.release()
    assert len(agreed.rows(OPENINGS)) == before


def test_openings_of_a_release_that_was_stopped_stay_on_record(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = ContentReleaser.close

    def overtaken(self: ContentReleaser) -> Any:
        append_lines(agreed.consents, [agreed.record("bob", "withdrawn", event_time="2026-03-03T09:00:00Z")])
        return close(self)

    monkeypatch.setattr(ContentReleaser, "close", overtaken)
    assert agreed.release()["stopped"] == "RELEASE_OVERTAKEN"
    assert [len(row["item_ids"]) for row in agreed.rows(OPENINGS)] == [2]
    assert agreed.released() == []


def without_eve(world: World) -> None:
    """Take Eve out of the roster as whoever can write to the store could, with digests that fit."""
    store = Store.open(world.store)
    (record,) = store.files(ROSTER)
    pseudonyms = join_pseudonyms(load_release_keys(world.keys / "release"))
    (eve,) = pseudonyms.pseudonymise(["eve"], identifier_type="cofferdam.user_id").to_pylist()
    path = world.store / record.path
    rows = pq.read_table(path)
    others = [place for place, row in enumerate(rows.to_pylist()) if eve not in str(row["subjects"])]
    assert len(others) < rows.num_rows
    pq.write_table(rows.take(others), path)
    content = path.read_bytes()
    changed = msgspec.structs.replace(record, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    kept = [each for each in store.snapshot.manifests[0].adds if each.path != record.path]
    forge_manifest(world.store, 1, adds=(*kept, changed))
    shutil.rmtree(world.store / "log")


def test_a_roster_that_was_forged_with_its_manifest_opens_nothing(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed.say("ada", scope="meeting:m2")
    without_eve(agreed)
    with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
        agreed.release()
    assert agreed.rows(OPENINGS) == []
    monkeypatch.setattr(ManifestSeal, "check", lambda *_: None)
    assert agreed.release()["released"] == 3  # nothing but the seal was in its way


def unsigned(tasks: pa.Table, *_: object) -> pa.Table:
    return tasks


def with_another_run(sign: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    return lambda tasks, keys, run_id: sign(tasks, keys, f"{run_id}-x")


@pytest.mark.parametrize("forgery", ["unsigned", "of another run"])
def test_work_that_no_decision_signed_is_not_opened(
    agreed: World, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    forged = unsigned if forgery == "unsigned" else with_another_run(with_warrants)
    monkeypatch.setattr(release_steps, "with_warrants", forged)
    with pytest.raises(PromiseBroken, match="OPENING_WITHOUT_DECISION"):
        agreed.release()
    assert Store.open(agreed.store).version == 1
    assert not list((agreed.store / "released").rglob("*.parquet"))
