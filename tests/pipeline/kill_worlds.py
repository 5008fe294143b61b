"""What is killed at every step: a run, a release, an erasure, a rotation, a reprocessing, in small worlds.

After each kill a reader must see what was there before or what is there afterwards, and nothing of either
that is nobody's business; and when the same is done again, what an undisturbed one leaves.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.run_erase import EraseOptions, run_erase
from pipelines.run_rotation import RotationRequest, rotate_all
from schemas.errors import InfrastructureFault
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from tests.pipeline.forked import forked
from tests.pipeline.release_world import AS_OF, Event, World, chat, meeting
from tests.pipeline.reprocess_world import Chance, poor_contract, reprocess, write_contract
from tests.pipeline.support import RECEIVED, opened
from tests.pipeline.test_erase import everything, names_of
from transforms import key_rotation
from transforms.chunked_encryption import SealBroken
from transforms.erase_orders import FOLDER
from transforms.keys import create_key_directory, load_release_keys
from transforms.opening import VaultOpener
from transforms.sealed_format import COVERS_DATA, KeyRow
from transforms.store import Store

ADA, BOB, EVE = "person-ada", "person-bob", "person-eve"
SECRETS = (b"saying ", b"person-", b"visit-", b"mumbled")
"""What stands in events only: content, names, and what is no event at all."""

_DRAWN_ANEW = ("run_id", "as_of", "decision_id", "join_pseudonym", "key_id", "blob_part")
_NOT_COMPARED = ("decisions", "openings", "ledger", "consents", QUARANTINE_BLOBS, QUARANTINE_KEYS)
_NO_ROWS = ("log/", ".lock", "format.json", "manifests/.draft-", ".draft-")
State = dict[str, Counter[str]]


@dataclass(frozen=True)
class Deed:
    """What is killed.

    Attributes:
        name: Its name.
        prepare: Makes a world, in a folder, with a key directory.
        do: Does it.
        again: Does it again after it was killed, and checks what is the deed's own.
    """

    name: str
    prepare: Callable[[Path, Path], World]
    do: Callable[[World], object]
    again: Callable[[World], object]


@dataclass
class Tally:
    """What was found over all kills; every figure but the first three must be 0.

    Attributes:
        steps: Steps of an undisturbed deed.
        kills: Steps at which it was killed.
        before: Kills after which the store was as before.
        half: Kills after which a reader saw something else than before or afterwards.
        lost: Rows, items and rejects that were missing after the deed was done again.
        doubled: Those that were there too often, or at all.
        let_out: Places in which something was readable that must not be.
    """

    steps: int = 0
    kills: int = 0
    before: int = 0
    half: int = 0
    lost: int = 0
    doubled: int = 0
    let_out: int = 0

    def add(self, found: dict[str, int]) -> None:
        """Take the findings of a kill in."""
        self.kills += 1
        for name, number in found.items():
            setattr(self, name, getattr(self, name) + number)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost and nothing let out."""
        return not (self.half or self.lost or self.doubled or self.let_out)


def kill_at_steps(
    deed: Deed,
    folder: Path,
    keys: Path,
    choose: Callable[[int], Sequence[int]],
    goes_on: Callable[[], bool] = lambda: True,
) -> Tally:
    """Kill a deed at some of its steps, once each; the caller must never have run a pipeline.

    Args:
        deed: What is killed.
        folder: An empty folder to work in.
        keys: A key directory that the worlds may share.
        choose: The steps, of as many as there are.
        goes_on: Whether there is time for another one.
    """
    start = folder / "start"
    forked(partial(_done, deed.prepare, start, keys), start)
    world = at(start, keys)
    before = _state_of(world)
    undisturbed = _copied(world, folder / "undisturbed")
    ended = forked(partial(_done, deed.do, undisturbed), undisturbed.folder)
    assert not ended.code, ended.code
    after = _state_of(undisturbed)
    tally = Tally(steps=ended.steps)
    for step in choose(ended.steps):
        if not goes_on():
            break
        tried = _copied(world, folder / f"{step:04d}")
        if forked(partial(_done, deed.do, tried), tried.folder, step).killed:
            found = forked(partial(_check, deed, tried, before, after), tried.folder)
            assert not found.code, (deed.name, step, found.code)
            tally.add(found.said)
        shutil.rmtree(tried.folder)
    return tally


def at(folder: Path, keys: Path) -> World:
    """The world that was made in a folder; keys of its own are used before any other."""
    own = folder / "next" if (folder / "next").exists() else folder / "keys"
    world = World.__new__(World)
    vars(world).update(folder=folder, keys=own if own.exists() else keys)
    return world


def _copied(world: World, folder: Path) -> World:
    shutil.copytree(world.folder, folder)
    return at(folder, world.keys)


def _state_of(world: World) -> State:
    said = forked(partial(_listed, world), world.folder).said
    return {name: Counter(rows) for name, rows in said.items()}


def _listed(world: World) -> dict[str, list[str]]:
    return {name: list(rows.elements()) for name, rows in state(world).items()}


def _done(deed: Callable[..., object], *arguments: object) -> None:
    deed(*arguments)


def state(world: World) -> State:
    """All that a store says and keeps sealed, but for what every deed draws anew."""
    store = Store.open(world.store)
    said: State = {}
    for table in store.tables():
        if not table.startswith(_NOT_COMPARED):
            rows = store.read_table(table)
            own = [name for name in _DRAWN_ANEW if name in rows.column_names]
            said[table] = Counter(map(repr, rows.drop_columns(own).to_pylist()))
    inside = opened(world.store, world.keys)
    said["opened items"] = Counter(map(repr, inside.items.items()))
    said["opened rejects"] = Counter(map(repr, inside.rejects.items()))
    return said


def _check(deed: Deed, world: World, before: State, after: State) -> dict[str, int]:
    """Look at a world in which a deed was killed, do the deed again, and look again."""
    Store.open(world.store).check(digests=True)
    seen = state(world)
    let_out = leaks(world)
    deed.again(world)
    now = state(world)
    names = {*now, *after}
    return {
        "before": seen == before,
        "half": seen not in (before, after),
        "lost": sum((after.get(name, Counter()) - now.get(name, Counter())).total() for name in names),
        "doubled": sum((now.get(name, Counter()) - after.get(name, Counter())).total() for name in names),
        "let_out": let_out + leaks(world),
    }


def leaks(world: World) -> int:
    """Places in the store, whether a manifest names them or not, that hold something from inside an event.

    Copies that were released may hold what was released.
    """
    return sum(_holds_secret(path, world) for path in world.store.rglob("*") if path.is_file())


def _holds_secret(path: Path, world: World) -> bool:
    content = path.read_bytes()
    texts = [content, path.name.encode()]
    if path.suffix == ".parquet":
        texts += [repr(row).encode() for row in _rows(path)]
    if path.relative_to(world.store).parts[0] == "released":
        texts = [text.replace(b"saying m1-chat", b"") for text in texts]
    return any(secret in text for secret in SECRETS for text in texts)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file; none of one that was killed while it was written."""
    try:
        yield from pq.read_table(path, partitioning=None).to_pylist()
    except (pa.ArrowException, OSError):
        return


# --- the deeds --------------------------------------------------------------------------------------------


def _events() -> list[Event | bytes]:
    return [
        *meeting([ADA, BOB], items=2),
        *meeting([BOB, EVE], "m2"),
        b'{"mumbled',
        b'{"mumbled": 1, "mumbled": 2}',
    ]


def _world(folder: Path, keys: Path) -> World:
    """Three people, two of whom agree; the third is in the second meeting, of which nothing may go."""
    made = World(folder, keys)
    made.adults(ADA, BOB, EVE)
    for name in (ADA, BOB):
        made.say(name, scope="tenant:t1")
    made.ingest(_events())
    return made


def _second_file(world: World) -> None:
    events: list[Event | bytes] = [
        chat("more", ADA, meeting="m2"),
        *meeting([ADA, EVE], "m3"),
        b'{"mumbled twice',
    ]
    world.ingest(events, "more.jsonl")


def _two_runs(folder: Path, keys: Path) -> World:
    made = _world(folder, keys)
    _second_file(made)
    return made


def _released(folder: Path, keys: Path) -> World:
    made = _world(folder, keys)
    assert made.release()["released"] == 2
    return made


def erase_ada(world: World) -> dict[str, Any]:
    """Erase Ada."""
    options = EraseOptions(
        store=str(world.store),
        keys=world.keys / "release",
        consents=(world.folder / "consents",),
        registry=world.registry,
        as_of=AS_OF,
        subjects=(f"cofferdam.user_id:{ADA}",),
        max_share=100.0,
        allow_test_keys=True,
    )
    return run_erase(options, show_progress=False)


def _erase_again(world: World) -> None:
    """Until an erasure that has begun is ended nothing is released; the next one ends it."""
    tried = world.folder.name.endswith(("1", "6"))  # it takes as long as all the rest
    if tried and any((world.store / FOLDER).glob("[!.]*")):
        with pytest.raises(InfrastructureFault, match="ERASURE_UNFINISHED"):
            world.release()
    check = erase_ada(world)["check"]
    assert (check["keys_opened"], check["rows_present"], check["files_left"]) == (0, 0, 0)
    assert unnamed(world) == set()
    assert not any(name in everything(world) for name in names_of(world, ADA))


def unnamed(world: World) -> set[str]:
    """Files of a store that no manifest names and that are not of those that hold no row."""
    store = Store.open(world.store)
    named = {*store.snapshot.live, *(each.path for each in store.snapshot.manifests)}
    found = {path.relative_to(world.store).as_posix() for path in world.store.rglob("*") if path.is_file()}
    return {path for path in found - named if not path.startswith(_NO_ROWS)}


def _rotating(folder: Path, _: Path) -> World:
    """Ada is erased, and her keys are in a copy of the keys table from before."""
    create_key_directory(folder / "keys", created=RECEIVED)
    made = _two_runs(folder, folder / "keys")
    shutil.copytree(made.store / QUARANTINE_KEYS, folder / "backup")
    erase_ada(made)
    create_key_directory(folder / "next", created=RECEIVED, continues=folder / "keys")
    return at(folder, folder / "next")


def _rotate(world: World) -> None:
    key_rotation.COMMIT_FILES = 1  # type: ignore[misc]
    sides = (world.folder / "next" / "release", (world.folder / "keys" / "release",))
    rotate_all(RotationRequest((world.store,), *sides), show_progress=False)


def _rotate_again(world: World) -> None:
    """With the keys that are left, nothing of the copy from before opens, nor anything through it."""
    _rotate(world)
    keys = load_release_keys(world.keys / "release")
    assert keys.older_vaults == ()
    backup = _key_rows(world.folder / "backup")
    current = _key_rows(world.store / QUARANTINE_KEYS)
    now = {row.key_id for row in current}
    assert {row.key_id for row in backup if row.covers == COVERS_DATA} - now, "nothing was erased"
    for rows, may_open in ((backup, set()), ([*backup, *current], now)):
        opener = VaultOpener(keys, rows)
        assert {row.key_id for row in backup if _opens(opener, row)} <= may_open


def _key_rows(folder: Path) -> list[KeyRow]:
    tables = [pq.read_table(path, partitioning=None) for path in folder.rglob("*.parquet")]
    return [KeyRow(**row) for table in tables for row in table.to_pylist()]


def _opens(opener: VaultOpener, row: KeyRow) -> bool:
    try:
        return row.covers == COVERS_DATA and bool(opener.data_key(row.key_id))
    except SealBroken:
        return False


def _releases_again(world: World) -> None:
    world.release()
    assert len(world.released()) == len({row["item_id"] for row in world.released()})


def _poorly_known(folder: Path, keys: Path) -> World:
    """Events of which a contract knows little, and a contract that knows the rest."""
    made = World(folder, keys)
    events = [{**each, "data": _saying(each["data"])} for each in Chance(3).events(12)]
    unknown = [{**each, "id": f"u-{number}", "type": "visit.grew"} for number, each in enumerate(events[:4])]
    made.ingest([*events, *unknown], contract_files=(poor_contract(folder / "poor"),))
    write_contract(folder / "rich", change=_grown)
    return made


def _saying(data: Any) -> Any:
    return {**data, "text": "saying so"} if isinstance(data, dict) else data


def _grown(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"][0]["value"].append("visit.grew")


def _reprocess(world: World) -> None:
    reprocess(world.store, world.keys, world.folder / "rich")


def _reprocess_again(world: World) -> None:
    _reprocess(world)
    sealed = (QUARANTINE_BLOBS, QUARANTINE_KEYS)
    assert not {path for path in unnamed(world) if path.startswith(sealed)}


DEEDS: Final[Mapping[str, Deed]] = MappingProxyType(
    {
        deed.name: deed
        for deed in (
            Deed("run", _world, _second_file, _second_file),
            Deed("release", _two_runs, World.release, _releases_again),
            Deed("erase", _released, erase_ada, _erase_again),
            Deed("rotate", _rotating, _rotate, _rotate_again),
            Deed("reprocess", _poorly_known, _reprocess, _reprocess_again),
        )
    }
)
