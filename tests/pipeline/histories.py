"""Histories: steps that change a store, the same steps on a plain model, and a comparison of the two."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from schemas.contract import bundled_contract_files
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS, RELEASED, TOMBSTONES
from tests.pipeline.forked import Ended
from tests.pipeline.history_model import PEOPLE, Delivery, Model, late_word, whole_meeting
from tests.pipeline.release_world import World
from tests.pipeline.support import RECEIVED, lines_file, opened
from tests.pipeline.test_erase import everything, names_of
from transforms.audit_verify import verify_log
from transforms.chunked_encryption import SealBroken
from transforms.erase_orders import read_orders
from transforms.keys import create_key_directory, load_release_keys
from transforms.opening import VaultOpener
from transforms.sealed_format import COVERS_DATA, KeyRow
from transforms.store import Store

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Step:
    """A step of a history.

    Attributes:
        kind: What happens.
        who: Whom it is about.
        more: What else: the second person, the word, the meeting.
        days: Days that pass before it.
        at: The step at which it is killed, 0 for none, -N for the Nth after its commit.
    """

    kind: str
    who: int = 0
    more: int = 0
    days: int = 0
    at: int = 0


class Children:
    """The process that forks for every deed."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.pipeline.history_child"]
        self._server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def do(self, deed: str, **asked: Any) -> Ended:
        """Have something done in a process of its own."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"deed": deed, **asked}, default=str) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, f"{deed} failed; what was printed says why"
        return Ended(**json.loads(answer))


class History:
    """One history on its way.

    Args:
        folder: An empty folder.
        children: Does what changes the store.
    """

    def __init__(self, folder: Path, children: Children) -> None:
        self._folder, self._children = folder, children
        self._keys = folder / "keys-0"
        create_key_directory(self._keys, created=RECEIVED)
        self._world = World(folder, self._keys)
        self._world.adults(*PEOPLE)
        self._model = Model(word=dict.fromkeys(PEOPLE[:3], "early"))
        for person in PEOPLE[:3]:
            self._world.say(person, scope="tenant:t1")
        self._now = datetime.combine(RECEIVED + timedelta(days=1), time(12), UTC)
        self._deliveries: list[Delivery] = []
        self._older: Path | None = None
        self._items: dict[str, str] = {}
        self._key_rows: set[KeyRow] = set()
        self._checkpoints: list[bytes] = []
        self._erased_last = self._killed = self._unlogged = self._may_open_backup = False
        self.seen: Counter[str] = Counter()

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder)

    # --- steps ----------------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """Do a step, in the store and in the model."""
        self._now += timedelta(days=step.days, minutes=1)
        self._erased_last = self._killed = False
        getattr(self, f"_{step.kind}")(step)
        self.seen[f"{step.kind}{', killed' if self._killed else ''}"] += 1

    @property
    def _today(self) -> date:
        return self._now.date()

    def _do(self, deed: str, step: Step, **asked: Any) -> tuple[Ended, bool]:
        """How a deed ended, and whether it has committed."""
        before = Store.open(self._world.store).version if self._world.store.exists() else 0
        common = {"folder": self._folder, "keys": self._keys, "as_of": f"{self._now:%Y-%m-%dT%H:%M:%SZ}"}
        ended = self._children.do(deed, **common, day=self._today, at=step.at, **asked)
        self._killed = ended.killed
        self._unlogged = ended.killed or (self._unlogged and bool(ended.code))
        exists = (self._world.store / "format.json").exists()
        return ended, exists and Store.open(self._world.store).version > before

    def _ingest(self, step: Step, deliveries: list[Delivery]) -> None:
        files = [lines_file(self._folder / "in" / each.name, each.lines) for each in deliveries]
        ended, committed = self._do("ingest", step, files=files)
        assert not ended.code, ended.code
        assert committed or ended.killed
        if ended.said is not None:
            lines = sum(len(each.lines) for each in deliveries)
            assert ended.said["records"] == sum(ended.said["outcomes"].values()) == lines
        if committed:
            self._model.take(deliveries, self._today)

    def _meet(self, step: Step) -> None:
        people = {PEOPLE[step.who]: 1, PEOPLE[step.more]: 1, **({PEOPLE[2]: 1} if step.days else {})}
        self._deliveries.append(whole_meeting(len(self._deliveries), tuple(people)))
        self._ingest(step, self._deliveries[-1:])

    def _late(self, step: Step) -> None:
        meeting = self._deliveries[step.more % len(self._deliveries)].meeting
        self._deliveries.append(late_word(len(self._deliveries), meeting, PEOPLE[step.who]))
        self._ingest(step, self._deliveries[-1:])

    def _again(self, step: Step) -> None:
        self._ingest(step, list(self._deliveries))

    def _say(self, step: Step) -> None:
        person, status = PEOPLE[step.who % 3], ("withdrawn", "given")[step.more % 2]
        said = self._now - timedelta(seconds=10)
        times = {"event_time": f"{said:%Y-%m-%dT%H:%M:%SZ}", "ingested_at": f"{said:%Y-%m-%dT%H:%M:%SZ}"}
        self._world.say(person, status, scope="tenant:t1", **times)
        self._model.word[person] = status

    def _release(self, step: Step) -> None:
        must = [part for part in self._model.parts if self._model.must_go(part, self._today)]
        waiting = bool(self._model.asked or self._model.asked_due)
        ended, committed = self._do("release", step)
        if waiting:
            assert ended.killed or ended.code == "ERASURE_UNFINISHED", ended
            assert not committed
            self.seen["release, refused"] += 1
            return
        assert not ended.code, ended.code
        if not committed:
            return
        released = self._released()
        for part in self._model.parts:
            if part.text in released and not part.copied:
                assert self._model.may_go(part), part
                part.copied = True
                self.seen["copy"] += 1
        assert all(part.copied for part in must)

    def _erase(self, step: Step) -> None:
        self._destroy(step, {PEOPLE[step.who]}, due=False)

    def _due(self, step: Step) -> None:
        self._destroy(step, set(), due=True)

    def _destroy(self, step: Step, people: set[str], *, due: bool) -> None:
        if not self._world.store.exists():
            return
        subjects = [f"cofferdam.user_id:{person}" for person in sorted(people)]
        asked, asked_due = people | self._model.asked, due or self._model.asked_due
        ended, committed = self._do("erase", step, subjects=subjects, due=due)
        assert not ended.code, ended.code
        if committed or not ended.killed:
            self._model.erase(asked)
            if asked_due:
                self._model.end_due(self._today)
            self._may_open_backup = True
        self._read_orders(asked, asked_due, done=committed or not ended.killed)

    def _read_orders(self, asked: set[str], asked_due: bool, *, done: bool) -> None:
        """What is still on order: nothing else than was asked for, and whatever is not done."""
        orders = read_orders(Store.open(self._world.store).files_of_store, self._release_keys())
        people = {one.value for order in orders for one in order.people}
        assert people <= asked
        assert done or self._model.asked <= people
        assert self._killed or not orders
        self._erased_last = not orders and not self._killed
        self._model.asked, self._model.asked_due = people, any(order.due for order in orders)

    def _rotate(self, step: Step) -> None:
        """A rotation that was killed is ended by the next one, with the same keys."""
        if self._older is None:
            self._older, self._keys = (
                self._keys,
                self._folder / f"keys-{len(list(self._folder.glob('keys-*')))}",
            )
            create_key_directory(self._keys, created=RECEIVED, continues=self._older)
            self._world.keys = self._keys
        ended, _ = self._do("rotate", step, older=self._older)
        assert not ended.code, ended.code
        if not ended.killed:
            self._older, self._may_open_backup = None, False

    def _reprocess(self, step: Step) -> None:
        """Take in again what was unknown, by a contract that knows it."""
        if not self._model.parts:
            return
        waiting = bool(self._model.asked or self._model.asked_due)
        ended, committed = self._do("reprocess", step, contracts=self._mended_contracts())
        if waiting:
            assert ended.killed or ended.code == "ERASURE_UNFINISHED", ended
            assert not committed
            return
        assert not ended.code, ended.code
        if committed:
            self._model.reprocess(self._today)
            self._may_open_backup = True

    def _mended_contracts(self) -> Path:
        folder = self._folder / "contracts"
        if not folder.exists():
            shutil.copytree(bundled_contract_files()[0].parent, folder)
            file = folder / "cofferdam_meeting.yaml"
            known = "io.cofferdam.meeting.started.v1"
            text = file.read_text().replace(
                f"value: [{known}", f"value: [io.cofferdam.novelty.v1, {known}", 1
            )
            file.write_text(text)
        return folder

    # --- comparison -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare the store with the model."""
        if not (self._world.store / "format.json").exists():
            return
        store = Store.open(self._world.store)
        store.check(digests=True)
        self._check_fates(store)
        self._check_keys(store)
        self._check_names()
        self._check_log()

    def _check_fates(self, store: Store) -> None:
        inside = opened(self._world.store, self._keys)
        found = {item: _text_of(parts) for item, parts in inside.items.items()}
        whole = {item: _text_of([("", raw)]) for item, raw in inside.rejects.items()}
        self._items |= found | whole
        assert sorted(found.values()) == self._model.texts()
        assert sorted(whole.values()) == self._model.whole()
        assert self._released() == self._model.copies()
        stones = [self._items[row["item_id"]] for row in self._world.rows(TOMBSTONES)]
        assert sorted(stones) == sorted(self._model.gone())
        assert {row["item_id"] for row in self._world.rows("quarantine/items")} == set(found)
        telemetry = [table for table in store.tables() if table.startswith("telemetry/")]
        assert sum(len(self._world.rows(table)) for table in telemetry) == sum(
            told.there for told in self._model.told
        )

    def _released(self) -> list[str]:
        return sorted(_text_of(row["parts"]) for row in self._world.rows(RELEASED))

    def _check_keys(self, store: Store) -> None:
        """No key of what is gone is anywhere, nor does it open with all rows of keys that there ever were."""
        if QUARANTINE_KEYS not in store.tables():
            return
        rows = [KeyRow(**row) for row in store.read_table(QUARANTINE_KEYS).to_pylist()]
        live = {row["key_id"] for row in store.read_table(QUARANTINE_BLOBS, ["key_id"]).to_pylist()}
        assert {row.key_id for row in rows if row.covers == COVERS_DATA} == live
        self._key_rows |= set(rows)
        gone = [row for row in self._key_rows if row.covers == COVERS_DATA and row.key_id not in live]
        if self._erased_last:
            self._check_disk({row.key_id for row in gone})
        if self._older is None and not self._may_open_backup:
            opener = VaultOpener(self._release_keys(), list(self._key_rows))
            assert not [row.key_id for row in gone if _opens(opener, row)]
            self.seen["copy of keys tried"] += len(gone)

    def _check_disk(self, gone: set[bytes]) -> None:
        """No file on the disk, whether a manifest names it or not, holds a key or a copy of what is gone."""
        for path in (self._world.store / QUARANTINE_KEYS).rglob("*.parquet"):
            content = path.read_bytes()
            assert not any(key_id in content for key_id in gone)
        for path in (self._world.store / RELEASED).rglob("*.parquet"):
            copies = pq.read_table(path, columns=["item_id"], partitioning=None)["item_id"].to_pylist()
            assert not self._model.gone() & {self._items[item] for item in copies}

    def _check_names(self) -> None:
        said = everything(self._world)
        for person in self._model.nameless():
            assert not any(name in said for name in names_of(self._world, person))

    def _check_log(self) -> None:
        if not Store.open(self._world.store).version:
            return
        result = verify_log(str(self._world.store), earlier=self._checkpoints)
        codes = {code for code, _ in result.findings.listed}
        assert codes <= ({"AUDIT_COMMIT_UNLOGGED", "AUDIT_LOG_MISSING"} if self._unlogged else set()), codes
        checkpoint = self._world.store / "log" / "checkpoint"
        if checkpoint.exists():
            self._checkpoints.append(checkpoint.read_bytes())

    def _release_keys(self) -> Any:
        return load_release_keys(self._keys / "release")


def _text_of(parts: Iterable[Any]) -> str:
    """The text that an item or a record was made with."""
    raw = " ".join(str(part["value"] if isinstance(part, dict) else part[1]) for part in parts)
    start = raw.index("text meeting-") if "text meeting-" in raw else raw.index("text late-")
    end = next(place for place, sign in enumerate(raw[start:] + '"') if sign in "\"'\\")
    return raw[start : start + end]


def _opens(opener: VaultOpener, row: KeyRow) -> bool:
    try:
        return bool(opener.data_key(row.key_id))
    except SealBroken:
        return False
