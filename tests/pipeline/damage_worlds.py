"""Damaged rows: lines of input that are not what they were, and sealed rows that were changed or swapped."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from tests.pipeline.kill_worlds import ADA, BOB, leaks
from tests.pipeline.release_world import World, meeting
from tests.pipeline.support import ingest
from transforms.keys import load_release_keys
from transforms.opening import VaultOpener
from transforms.sealed_format import COVERS_DATA, BlobRow, KeyRow
from transforms.store import Store

SEED = 4


@dataclass
class Damage:
    """What came of damaged rows.

    Attributes:
        tried: Rows that were damaged.
        noticed: Those that were not taken for what they had been.
        lost: Records without an outcome; or items beside the damaged ones that did not open.
        let_out: Places in which something was readable that must not be; or items that opened as something
            else than they were sealed as.
    """

    tried: int = 0
    noticed: int = 0
    lost: int = 0
    let_out: int = 0


def damage_input(folder: Path, keys: Path, count: int) -> Damage:
    """Take in lines of events of which each was damaged somewhere; every one must have one outcome."""
    chance = random.Random(SEED)
    world = World(folder, keys)
    lines = [_damaged(line, chance) for line in _lines(count)]
    source = folder / "damaged.jsonl"
    source.write_bytes(b"".join(line + b"\n" for line in lines))
    ledger = ingest(source, world.store, keys)
    outcomes = ledger["outcomes"]
    held = sum(number for name, number in outcomes.items() if name != "separated")
    return Damage(count, held, count - sum(outcomes.values()), leaks(world))


def _lines(count: int) -> Iterator[bytes]:
    number = 0
    while True:
        for event in meeting([ADA, BOB], f"m{number}", items=4):
            yield json.dumps(event).encode()
            count -= 1
            if not count:
                return
        number += 1


def _damaged(line: bytes, chance: random.Random) -> bytes:
    """A line with a byte changed, put in or left out, cut off, doubled in part, or with a key twice."""
    at = chance.randrange(len(line))
    byte = bytes([chance.choice([each for each in range(256) if each not in (10, 13, line[at])])])
    end = min(len(line), at + chance.randrange(1, 30))
    return chance.choice(
        (
            line[:at] + byte + line[at + 1 :],
            line[:at] + byte + line[at:],
            line[:at] + line[at + 1 :],
            line[: max(at, 1)],
            line[:end] + line[at:end] + line[end:],
            b'{"data": {"text": "saying twice"}, ' + line[1:],
        )
    )


# --- sealed rows ------------------------------------------------------------------------------------------


def damage_sealed(folder: Path, keys: Path, count: int) -> Damage:
    """Change, swap or cut sealed rows, one at a time, and open everything that is there."""
    world = World(folder, keys)
    world.ingest([*meeting([ADA, BOB], items=3), *meeting([BOB, ADA], "m2", items=3), b"no event"])
    opened_store = Store.open(world.store)
    key_rows = [KeyRow(**row) for row in opened_store.read_table(QUARANTINE_KEYS).to_pylist()]
    blobs = [BlobRow(**row) for row in opened_store.read_table(QUARANTINE_BLOBS).to_pylist()]
    sealed, chance, found = _opened(keys, key_rows, blobs), random.Random(SEED), Damage()
    for _ in range(count):
        damaged_keys, damaged_blobs, touched = _damage(key_rows, blobs, chance)
        opened = _opened(keys, damaged_keys, damaged_blobs)
        beside = {item for blob in blobs if blob.key_id not in touched for item in _items(blob)}
        found.tried += 1
        found.noticed += len(opened) < len(sealed)
        found.lost += len(beside - opened.keys())
        found.let_out += sum(sealed.get(item) != content for item, content in opened.items())
    return found


def _opened(keys: Path, key_rows: Iterable[KeyRow], blobs: Iterable[BlobRow]) -> dict[bytes, bytes]:
    opener = VaultOpener(load_release_keys(keys / "release"), list(key_rows))
    return {item.item_id: item.framed for item in opener.open_blobs(blobs).items}


def _items(blob: BlobRow) -> list[bytes]:
    return [blob.item_ids[at : at + 16] for at in range(0, len(blob.item_ids), 16)]


def _damage(
    key_rows: list[KeyRow], blobs: list[BlobRow], chance: random.Random
) -> tuple[list[KeyRow], list[BlobRow], set[bytes]]:
    """Rows of which one or two are damaged, and the data keys that this is about."""
    how = chance.randrange(6)
    if how < 3:
        rows, touched = _damaged_keys(list(key_rows), how, chance)
        return rows, blobs, touched
    rows_of_blobs, touched = _damaged_blobs(list(blobs), how, chance)
    return key_rows, rows_of_blobs, touched


def _damaged_keys(rows: list[KeyRow], how: int, chance: random.Random) -> tuple[list[KeyRow], set[bytes]]:
    places = [place for place, row in enumerate(rows) if row.covers == COVERS_DATA]
    one, two = chance.sample(places, 2)
    first, second = rows[one], rows[two]
    if how == 0:
        rows[one] = first._replace(wrapped=_changed(first.wrapped, chance))
    elif how == 1:
        rows[one], rows[two] = first._replace(wrapped=second.wrapped), second._replace(wrapped=first.wrapped)
        return rows, {first.key_id, second.key_id}
    else:
        del rows[one]
    return rows, {first.key_id}


def _damaged_blobs(rows: list[BlobRow], how: int, chance: random.Random) -> tuple[list[BlobRow], set[bytes]]:
    one, two = chance.sample(range(len(rows)), 2)
    first, second = rows[one], rows[two]
    if how == 3:
        rows[one] = first._replace(ciphertext=_changed(first.ciphertext, chance))
    elif how == 4:
        rows[one] = first._replace(ciphertext=first.ciphertext[: -chance.randrange(1, 40)])
    else:
        rows[one] = first._replace(ciphertext=second.ciphertext)
        rows[two] = second._replace(ciphertext=first.ciphertext)
        return rows, {first.key_id, second.key_id}
    return rows, {first.key_id}


def _changed(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
