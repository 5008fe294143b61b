"""Runs, erasures, rotations and reprocessings in turn: nothing is lost, doubled, or comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from pipelines.run_rotation import RotationRequest, rotate_all
from schemas.tables import QUARANTINE_ITEMS
from tests.pipeline.release_world import World, meeting
from tests.pipeline.support import RECEIVED, opened
from tests.pipeline.test_reprocess import CHAT, erase, mended_contracts, novel, run, unheard
from transforms.keys import create_key_directory
from transforms.store import Store
from transforms.written_conservation import conservation_words


@dataclass
class History:
    """A store on its way, and what must and must not be in it."""

    world: World
    contracts: Path
    taken: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)
    keys: int = 0

    def ingest(self) -> None:
        number = len(self.taken) + 1
        self.taken.add(number)
        self.world.ingest(
            [
                novel(f"a-{number}", "ada", mood=f"ada {number}.", caption=f"ada {number}."),
                novel(f"b-{number}", "bob", mood=f"bob {number}."),
                unheard(f"u-{number}", "bob"),
            ],
            f"events-{number}.jsonl",
        )

    def erase(self) -> None:
        """Erase Ada, and run all old input again."""
        erase(self.world)
        self.erased |= self.taken
        again = [novel(f"a-{each}", "ada", mood=f"ada {each}.") for each in self.taken]
        self.world.ingest(again, f"again-{len(self.taken)}.jsonl")

    def rotate(self) -> None:
        self.keys += 1
        newer = self.world.folder / f"keys-{self.keys}"
        create_key_directory(newer, created=RECEIVED, continues=self.world.keys)
        self.world.keys = newer
        request = RotationRequest((self.world.store,), newer / "release")
        rotate_all(request, show_progress=False)

    def reprocess(self) -> None:
        """Reprocess twice: the second time moves nothing."""
        run(self.world, self.contracts)
        assert "moved" not in run(self.world, self.contracts)["outcomes"]

    def check(self) -> None:
        sealed = opened(self.world.store, self.world.keys).everything()
        assert [each for each in self.taken if f"bob {each}.".encode() not in sealed] == []
        assert [each for each in self.erased if f"ada {each}.".encode() in sealed] == []
        for table, column in ((QUARANTINE_ITEMS, "item_id"), (CHAT, "event_id")):
            ids = [row[column] for row in self.world.rows(table)]
            assert len(ids) == len(set(ids)), f"{table} holds something twice"
        words = conservation_words(Store.open(self.world.store))
        assert [entry for entry in words if "differs" in entry[2]] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        "ingest reprocess erase reprocess ingest rotate reprocess",
        "ingest erase reprocess rotate ingest reprocess erase",
    ],
)
def test_nothing_is_lost_doubled_or_comes_back(steps: str, tmp_path: Path) -> None:
    create_key_directory(tmp_path / "keys", created=date(2026, 3, 1))
    world = World(tmp_path / "world", tmp_path / "keys")
    world.adults("ada", "bob")
    world.ingest(meeting(["ada", "bob"], items=1))
    history = History(world, mended_contracts(tmp_path / "contracts"))
    for step in steps.split():
        getattr(history, step)()
        history.check()
