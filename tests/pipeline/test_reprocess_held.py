"""A legal hold beside a reprocessing: what moves stays held; an erasure that waits finds what has moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.tables import QUARANTINE_ITEMS
from tests.pipeline.release_world import World, meeting
from tests.pipeline.support import opened
from tests.pipeline.test_erase import ADA, erase, everything, names_of
from tests.pipeline.test_reprocess import UNHEARD, mended_contracts, novel, run, unheard

AFTERWARDS = "2027-01-01T00:00:00Z"
"""Long after the time to live of everything."""


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mended_contracts(tmp_path_factory.mktemp("contracts") / "mended")


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """A tenant on legal hold, of whom records and fields wait for a contract."""
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    for name in ("ada", "bob"):
        made.say(name)
    made.declare(legal_hold=True)
    events = [novel("n-1", "ada"), novel("n-2", "bob"), unheard("u-1", "ada"), unheard("u-2", "bob")]
    made.ingest([*meeting(["ada", "bob"]), *events])
    return made


def due(world: World, contracts: Path, **changes: Any) -> dict[str, Any]:
    asked = {"all_due": True, "as_of": AFTERWARDS, "contract_files": (contracts,), **changes}
    return erase(world, **asked)


def test_what_has_moved_is_kept_for_as_long_as_the_hold_lasts(world: World, contracts: Path) -> None:
    ledger = run(world, contracts)
    assert ledger["outcomes"] == {"moved": 4}
    before, content = everything(world), opened(world.store, world.keys).everything()
    assert due(world, contracts)["items"] == 0
    assert everything(world) == before
    assert world.release()["released"] == 0
    assert content.count(b"canary-unheard") == content.count(b"canary-novel-text") == 2
    world.declare(legal_hold=False)
    due(world, contracts)
    assert world.rows(QUARANTINE_ITEMS) == []
    assert opened(world.store, world.keys).everything() == b""


def test_an_erasure_that_waits_for_the_end_of_a_hold_reaches_what_has_moved_meanwhile(
    world: World, contracts: Path
) -> None:
    assert erase(world, ADA, contract_files=(contracts,))["held"]
    run(world, contracts)
    assert any(name in everything(world) for name in names_of(world, "ada"))
    assert len(world.rows(UNHEARD)) == 2
    world.declare(legal_hold=False)
    erase(world, "cofferdam.user_id:nobody", contract_files=(contracts,))
    assert not any(name in everything(world) for name in names_of(world, "ada"))
    assert len(world.rows(UNHEARD)) == 1
    left = opened(world.store, world.keys).everything()
    assert left.count(b"canary-unheard") == left.count(b"canary-novel-text") == 1, "Bob's"
