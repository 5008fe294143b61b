"""Keys through the whole pipeline: rotation between runs, backups of before, and what is lost with a key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.run_erase import EraseOptions, run_erase
from pipelines.run_rotation import RotationRequest, rotate_all
from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from tests.pipeline.release_world import AS_OF, TRAINING, World, chat, meeting
from tests.pipeline.support import RECEIVED, opened
from tests.unit.transforms.key_samples import open_all
from transforms.keys import create_key_directory, load_release_keys
from transforms.opening import VaultOpener
from transforms.sealed_format import BlobRow, KeyRow
from transforms.store import Store


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Ada and Bob agree; two messages of Ada. The keys are the world's own."""
    create_key_directory(tmp_path / "keys", created=RECEIVED)
    made = World(tmp_path, tmp_path / "keys")
    made.adults("ada", "bob")
    made.ingest(meeting(["ada", "bob"], items=2))
    made.say("ada")
    made.say("bob")
    return made


def rotate(world: World) -> dict[str, object]:
    """Make the next keys, rotate to them, and go on with them."""
    newer = world.folder / f"next-{len(list(world.folder.glob('next-*')))}"
    create_key_directory(newer, created=RECEIVED, continues=world.keys)
    told = rotate_all(RotationRequest((world.store,), newer / "release"), show_progress=False)
    world.keys = newer
    return told


def test_runs_and_releases_go_on_after_a_rotation(world: World) -> None:
    assert rotate(world)["destroyed"]
    world.ingest([chat("later", "ada", time="10:40")], "later.jsonl")
    assert world.release()["released"] == 3
    rotate(world)
    assert world.release(purposes=("ai_evaluation",))["released"] == 0
    assert len(opened(world.store, world.keys).items) == 3


def test_pseudonyms_join_across_a_rotation_and_telemetry_starts_an_epoch(world: World) -> None:
    rotate(world)
    world.ingest([chat("later", "ada", time="10:40")], "later.jsonl")
    items = world.rows("quarantine/items")
    assert len({row["sender_join"] for row in items}) == 1
    telemetry = [table for table in Store.open(world.store).tables() if table.startswith("telemetry/")]
    senders = {row["participant"] for table in telemetry for row in world.rows(table) if "chat" in table}
    assert len(senders - {None}) == 2


def test_a_run_with_retired_keys_is_refused_and_changes_nothing(world: World) -> None:
    older = world.keys
    rotate(world)
    version = Store.open(world.store).version
    world.keys = older
    with pytest.raises(InfrastructureFault, match="KEYS_RETIRED"):
        world.ingest([chat("later", "ada", time="10:40")], "later.jsonl")
    assert Store.open(world.store).version == version


def test_a_backup_from_before_an_erasure_opens_nothing_after_it(world: World) -> None:
    shutil.copytree(world.store, world.folder / "backup")
    erased = erase_ada(world)
    rotate(world)
    keys = load_release_keys(world.keys / "release")
    backup, now = Store.open(world.folder / "backup"), Store.open(world.store)
    assert not open_all(backup, keys).items
    everything = [
        KeyRow(**row) for store in (backup, now) for row in store.read_table(QUARANTINE_KEYS).to_pylist()
    ]
    blobs = [BlobRow(**row) for row in backup.read_table(QUARANTINE_BLOBS).to_pylist()]
    together = VaultOpener(keys, everything).open_blobs(blobs)
    assert {broken.key_id for broken in together.broken} == erased


def test_until_the_rotation_a_backup_opens_what_was_erased(world: World) -> None:
    """What docs/keys.md says is not true of an erasure alone."""
    shutil.copytree(world.store, world.folder / "backup")
    erase_ada(world)
    backup = Store.open(world.folder / "backup")
    assert not open_all(backup, load_release_keys(world.keys / "release")).broken


def erase_ada(world: World) -> set[bytes]:
    """Erase Ada; gives the data keys that are no more."""
    before = data_keys(world)
    asked = EraseOptions(
        store=str(world.store),
        keys=world.keys / "release",
        consents=(world.consents,),
        registry=world.registry,
        as_of=AS_OF,
        subjects=("cofferdam.user_id:ada",),
        max_share=100.0,
        allow_test_keys=True,
    )
    run_erase(asked, show_progress=False)
    erased = before - data_keys(world)
    assert erased
    return erased


def data_keys(world: World) -> set[bytes]:
    return {row["key_id"] for row in world.rows(QUARANTINE_KEYS) if row["covers"] == "data"}


# --- what is lost with a key --------------------------------------------------------------------------------


def damaged(world: World, change: dict[str, object]) -> None:
    """Change the first data key's row or the first blob's, and put the file in the place of the old one."""
    table = QUARANTINE_BLOBS if "ciphertext" in change else QUARANTINE_KEYS
    store = world.sealed_store()
    files = [record.path for record in store.files(table)]
    rows = store.read_table(table).to_pylist()
    place = next(place for place, row in enumerate(rows) if row.get("covers", "data") == "data")
    if "swap" in change:
        rows[place]["wrapped"], rows[place + 1]["wrapped"] = (
            rows[place + 1]["wrapped"],
            rows[place]["wrapped"],
        )
    elif "ciphertext" in change:
        rows[place]["ciphertext"] = rows[place]["ciphertext"][:-1]
    else:
        rows[place] |= change
    with store.writer("damage-0001", table) as writer:
        writer.append(pa.Table.from_pylist(rows, schema=store.schema(table)))
        store.commit("damage-0001", writer.close(), {}, files)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"wrapped": bytes(60)}, 1),
        ({"key_id": bytes(16)}, 1),
        ({"wrapping_key_id": bytes(16)}, 1),
        ({"swap": True}, 2),
        ({"ciphertext": True}, 1),
    ],
    ids=["tampered row", "lost key", "lost bundle key", "swapped rows", "truncated ciphertext"],
)
def test_what_is_damaged_stays_held_and_everything_else_is_released(
    world: World, change: dict[str, object], lost: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        world.say("ada", scope=f"meeting:x{number}")
        world.say("bob", scope=f"meeting:x{number}")
        world.ingest(meeting(["ada", "bob"], f"x{number}"), f"x{number}.jsonl")
    merge_tables(world)
    damaged(world, change)
    ledger = world.release()
    unopened = sum(ledger["unopened"].values())
    assert ledger["released"] == 5 - unopened
    assert 0 < unopened <= 2 * lost
    outcomes = {row["outcome"] for row in world.rows("openings")} - {"opened"}
    assert outcomes
    assert outcomes <= {"SEAL_KEY_BROKEN", "SEAL_KEY_MISSING", "SEAL_BROKEN"}
    assert "saying" not in "".join(capfd.readouterr())


def merge_tables(world: World) -> None:
    """Put the keys and the blobs of all runs into one file each, so that rows can be swapped between runs."""
    store = world.sealed_store()
    for number, table in enumerate((QUARANTINE_KEYS, QUARANTINE_BLOBS)):
        files = [record.path for record in store.files(table)]
        with store.writer(f"merge-0000{number}", table) as writer:
            writer.append(store.read_table(table))
            store = store.commit(f"merge-0000{number}", writer.close(), {}, files)


def test_keys_of_another_store_release_nothing_and_say_so(world: World, tmp_path: Path) -> None:
    create_key_directory(tmp_path / "foreign", created=RECEIVED)
    with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
        world.release(keys=tmp_path / "foreign" / "release")


def test_a_lost_private_half_is_named_before_anything_is_read(world: World) -> None:
    next((world.keys / "release").glob("vault_private-*")).unlink()
    with pytest.raises(InfrastructureFault, match="KEYS_MISSING"):
        world.release(purposes=(TRAINING,))
