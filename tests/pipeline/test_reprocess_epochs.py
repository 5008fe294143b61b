"""What is taken in late has the pseudonyms of the epoch in which it was received, or stays sealed."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.tables import QUARANTINE_REJECTED
from tests.pipeline.reprocess_world import reprocess, write_contract
from tests.pipeline.support import ingest, lines_file
from tests.unit.transforms.feature_contract import event
from transforms.key_destruction import destroy_key
from transforms.key_files import EPOCH_ROOT, RELEASE
from transforms.keys import create_key_directory, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening_warrants import FOR_REPROCESSING, Ground
from transforms.ordered_opening import BLOB_MISSING, OrderedOpener
from transforms.reprocess_selection import Choice, Selection
from transforms.routing import UNKNOWN_TYPE
from transforms.store import Store

VISITS = "telemetry/visits"


def grown(document: dict[str, Any]) -> None:
    """A contract that knows one more type of event."""
    document["schema"][0]["customProperties"][0]["value"].append("visit.grew")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of March, with keys of March and the April ones that continue them."""
    folder = tmp_path_factory.mktemp("epochs")
    create_key_directory(folder / "march", created=date(2026, 3, 1))
    create_key_directory(folder / "april", created=date(2026, 4, 1), continues=folder / "march")
    poor = write_contract(folder / "poor", ["data.count", "data.friends"], version="2.1.0")
    write_contract(folder / "rich", change=grown)
    events = [event(1, count=4, friends=["u-2"]), event(2, kind="visit.grew")]
    source = lines_file(folder / "events.jsonl", events)
    ingest(source, folder / "store", folder / "march", contract_files=(poor,))
    return folder


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "store", tmp_path / "store"))


def visits(store: Path) -> list[dict[str, Any]]:
    rows = Store.open(store).read_table(VISITS).to_pylist()
    return sorted(rows, key=lambda row: str(row["event_type"]))


def reasons(ledger: dict[str, Any]) -> set[str]:
    return {row["reason"] for row in ledger["values"] if row["outcome"] == "stays"}


def test_new_keys_make_the_pseudonyms_of_the_old_epoch(written: Path, store: Path) -> None:
    reprocess(store, written / "april", written / "rich", tenants=("t-1",))
    came, grew = visits(store)
    assert (came["count"], len(came["friends"])) == (4, 1)
    assert [came[name] for name in ("tenant", "meeting", "participant")] == [
        grew[name] for name in ("tenant", "meeting", "participant")
    ]
    again = store.with_name("again")
    shutil.copytree(written / "store", again)
    reprocess(again, written / "march", written / "rich", tenants=("t-1",))
    assert visits(again) == visits(store)


def test_an_unlinked_epoch_is_linked_to_nothing(written: Path, store: Path, tmp_path: Path) -> None:
    keys = Path(shutil.copytree(written / "april", tmp_path / "keys"))
    for entry in load_release_keys(keys / "release").descriptions:
        if entry.purpose == EPOCH_ROOT and entry.epoch == 1:
            destroy_key(keys / "release", RELEASE, entry.key_id)
    ledger = reprocess(store, keys, written / "rich", tenants=("t-1",))
    assert reasons(ledger) == {"EPOCH_UNLINKED"}
    (came,) = visits(store)
    assert (came["count"], came["friends"]) == (4, None)
    assert Store.open(store).read_table(QUARANTINE_REJECTED).num_rows == 1


def test_a_key_of_which_a_blob_is_missing_is_not_opened(written: Path, store: Path) -> None:
    keys = load_release_keys(written / "march" / "release")
    state = Store.open(store, seal_of(keys))
    choice = Choice(state, None, (UNKNOWN_TYPE,), date(2026, 3, 1), date(2026, 3, 1))
    wanted = Selection(state, choice).wanted
    lacking = sorted(wanted)[0]
    wanted[lacking].add(7)
    opener = OrderedOpener(state, keys, Ground("run-000001", FOR_REPROCESSING, "d"), wanted)
    opened = {key.key_id for batch in opener.batches() for key in batch}
    opener.abandon()
    assert opener.broken == {lacking: BLOB_MISSING}
    assert opened == wanted.keys() - {lacking}
