"""A store of very many items to measure reports in: a small one, written over and over under other ids.

The small store is made by a run and a release as users make them. Copies have ids and pseudonyms of their
own, which go together as those of the first do, and what the manifests state is multiplied. So all that a
report looks up is there, and nothing in the store is wrong.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.gate import release_command
from benchmarks.gate_world import GateWorld, Spread, make_world
from benchmarks.measure import measure
from schemas.tables import CONSENT_RECORDS, FILTERS
from transforms.consent_intake import record_pointer
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord, Manifest
from transforms.pseudonyms import join_pseudonyms
from transforms.store import Store

SMALL_ITEMS: Final = 2_000
_ID: Final = r"\A[0-9a-f]{32}\z"
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_VALUES: Final = np.zeros(256, dtype=np.uint8)
_VALUES[_DIGITS] = np.arange(16, dtype=np.uint8)

Bytes = npt.NDArray[np.uint8]


def make_store(folder: Path, keys: Path, items: int, *, held: bool = False) -> tuple[Path, Path]:
    """Make a store of about so many items, and its registry; they are used again if they are there.

    Args:
        folder: Where worlds are made and kept.
        keys: The key directory.
        items: Sealed items, of which seven in ten are released.
        held: Whether none is released, because nobody said anything.
    """
    small = _small(folder, keys, held)
    kept = folder / f"report-{'held' if held else 'released'}-{items}"
    if not kept.is_dir():
        draft = folder / f"partial-{kept.name}"
        shutil.rmtree(draft, ignore_errors=True)
        _Copies(Store.open(small.store), keys / "ingest", max(1, items // SMALL_ITEMS)).write(draft)
        program = str(Path(sys.executable).parent / "cofferdam")
        merge = [program, "audit", "merge", "--store", str(draft), "--keys", str(keys / "release")]
        measure(merge, folder / f"{kept.name}.log")
        draft.rename(kept)
    return kept, small.registry


def _small(folder: Path, keys: Path, held: bool) -> GateWorld:
    world = make_world(folder, keys, Spread(SMALL_ITEMS))
    own = GateWorld(folder / f"report-{held}", world.items, world.meetings, world.people, world.records)
    if not own.folder.is_dir():
        draft = folder / f"partial-{own.folder.name}"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(world.folder, draft)
        if held:
            (draft / "consents" / "records.jsonl").write_text("")
        copy = GateWorld(draft, world.items, world.meetings, world.people, world.records)
        measure(release_command(copy, copy.store, keys), folder / f"{own.folder.name}.log")
        draft.rename(own.folder)
    return own


class _Copies:
    """Copies of a small store.

    Args:
        source: The small store.
        keys: The side that seals.
        times: How many copies.
    """

    def __init__(self, source: Store, keys: Path, times: int) -> None:
        loaded = load_ingest_keys(keys)
        self._source, self._times, self._seal = source, times, seal_of(loaded)
        pseudonyms = join_pseudonyms(loaded)
        self._pointer: Callable[[str], str] = lambda name: record_pointer(name, pseudonyms)
        people, seats = SMALL_ITEMS // 10, range(5)
        ids = [f"r{meeting}-{seat}" for meeting in range(people) for seat in seats]
        self._records = {self._pointer(name): name for name in ids}

    def write(self, target: Path) -> None:
        """Write them to a new store."""
        store = Store.open_or_create(target, self._seal)
        for manifest in self._source.snapshot.manifests:
            adds: list[FileRecord] = []
            for table in sorted({record.table for record in manifest.adds} - {FILTERS}):
                adds += self._table(store, manifest, table)
            store = store.commit(manifest.run_id, adds, multiplied(dict(manifest.facts), self._times))

    def _table(self, store: Store, manifest: Manifest, table: str) -> list[FileRecord]:
        records = [record for record in manifest.adds if record.table == table]
        rows = pa.Table.from_batches(list(self._source.scan(table, records=records)))
        with store.writer(manifest.run_id, table, rows.schema) as writer:
            for number in range(self._times):
                writer.append(pa.table(list(self._columns(table, rows, number)), schema=rows.schema))
            return writer.close()

    def _columns(self, table: str, rows: pa.Table, number: int) -> Iterator[pa.Array]:
        mask = np.frombuffer(hashlib.sha256(str(number).encode()).digest()[:16], dtype=np.uint8)
        for field in rows.schema:
            column = rows.column(field.name).combine_chunks()
            if table == CONSENT_RECORDS and field.name == "record_join":
                names = (f"{self._records[one]}-{number}" for one in column.to_pylist())
                yield pa.array([self._pointer(name) for name in names], pa.string())
            elif field.name == "wrapping_key_id":
                is_vault = pc.equal(rows.column("covers").combine_chunks(), "bundle")
                yield pc.if_else(is_vault, column, under_mask(column, mask, number))
            else:
                yield under_mask(column, mask, number)


def multiplied(said: Any, times: int) -> Any:
    """What a manifest states, with each number so many times."""
    if isinstance(said, Mapping):
        return {name: multiplied(value, times) for name, value in said.items()}
    if isinstance(said, list | tuple):
        return [multiplied(value, times) for value in said]
    return said * times if isinstance(said, int) and not isinstance(said, bool) else said


def under_mask(column: pa.Array, mask: Bytes, number: int) -> pa.Array:
    """A column with other ids: those of one mask go together as the first ones did."""
    kind = column.type
    if pa.types.is_list(kind):
        inside = under_mask(column.flatten(), mask, number)
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), inside, type=kind, mask=column.is_null())
    if pa.types.is_struct(kind):
        parts = [under_mask(pc.struct_field(column, place), mask, number) for place in range(len(kind))]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=column.is_null())
    values = column.drop_null()
    if not len(values):
        return column
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == len(mask):
        found: list[Any] = [bytes(np.frombuffer(one, np.uint8) ^ mask) for one in values.to_pylist()]
    elif pa.types.is_binary(kind) and all(
        len(one) % 16 == 0 and len(one) < 200 for one in values.to_pylist()
    ):
        found = [_ids(one, mask) for one in values.to_pylist()]
    elif pa.types.is_string(kind) and pc.all(pc.match_substring_regex(values, _ID)).as_py():
        found = _hexadecimal(values.to_pylist(), mask)
    elif pa.types.is_string(kind) and pc.all(pc.match_substring_regex(values, r"\Ar[0-9]+-[0-9]\z")).as_py():
        found = [f"{one}-{number}" for one in values.to_pylist()]
    else:
        return column
    return pc.replace_with_mask(column, column.is_valid(), pa.array(found, kind))


def _ids(content: bytes, mask: Bytes) -> bytes:
    return bytes((np.frombuffer(content, np.uint8).reshape(-1, 16) ^ mask).reshape(-1))


def _hexadecimal(texts: list[str], mask: Bytes) -> list[str]:
    values = _VALUES[np.frombuffer("".join(texts).encode(), np.uint8)].reshape(-1, 32)
    digits = np.stack([mask >> 4, mask & 15], axis=1).reshape(-1)
    joined = _DIGITS[values ^ digits].tobytes().decode()
    return [joined[start : start + 32] for start in range(0, len(joined), 32)]
