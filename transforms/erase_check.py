"""Check an erasure after it was carried out: nothing that went opens, and no row of it is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import ContractSet
from schemas.errors import PromiseBroken
from schemas.tables import QUARANTINE_KEYS
from transforms.chunked_encryption import SealBroken
from transforms.erase_plan import ErasurePlan, Planner
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.opening import VaultOpener
from transforms.sealed_format import COVERS_BUNDLE, KeyRow
from transforms.store import Store


@dataclass(frozen=True)
class ErasureCheck:
    """What a check found.

    Attributes:
        keys_tried: Destroyed data keys that were tried with the release side's keys.
        keys_opened: Those that still unwrap; must be 0.
        rows_present: Rows that should have gone and are there; must be 0.
        files_left: Replaced files that are still on the disk; must be 0.
    """

    keys_tried: int
    keys_opened: int
    rows_present: int
    files_left: int

    @property
    def holds(self) -> bool:
        """Whether nothing is left."""
        return not (self.keys_opened or self.rows_present or self.files_left)

    def as_dict(self) -> dict[str, int]:
        """The figures by name."""
        return asdict(self)


def check_erased(
    store: Store, keys: ReleaseKeys, contracts: ContractSet, plan: ErasurePlan, removed: Sequence[str]
) -> ErasureCheck:
    """Try every destroyed key, and look for every row, in the store as it is now.

    Args:
        store: The store after the erasure.
        keys: The release side's keys.
        contracts: As for the plan.
        plan: What was carried out.
        removed: Files that were replaced.

    Raises:
        PromiseBroken: Something is left (``ERASURE_INCOMPLETE``).
    """
    again = Planner(store, contracts, plan.reach, plan.search)
    found = ErasureCheck(
        keys_tried=len(plan.keys),
        keys_opened=_opened(store, keys, list(plan.keys), again.files_of_keys(plan.keys)),
        rows_present=_present(again),
        files_left=sum(store.files_of_store.size(path) is not None for path in removed),
    )
    if not found.holds:
        counts = ", ".join(f"{name} {number}" for name, number in found.as_dict().items())
        raise PromiseBroken("ERASURE_INCOMPLETE", f"something is left after the erasure: {counts}; run again")
    return found


def _opened(store: Store, keys: ReleaseKeys, key_ids: Sequence[bytes], records: Sequence[FileRecord]) -> int:
    """Keys that still unwrap, by the files that may hold them; bundle keys are looked for everywhere."""
    data = _key_rows(store, key_ids, records)
    bundles = _key_rows(store, {row.wrapping_key_id for row in data}, store.files(QUARANTINE_KEYS))
    opener = VaultOpener(keys, [*data, *(row for row in bundles if row.covers == COVERS_BUNDLE)])
    opened = 0
    for key_id in key_ids:
        try:
            opener.data_key(key_id)
            opened += 1
        except SealBroken:
            pass
    opener.close()
    return opened


def _key_rows(store: Store, key_ids: Iterable[bytes], records: Sequence[FileRecord]) -> list[KeyRow]:
    wanted = pa.array(list(key_ids), pa.binary(16))
    if not len(wanted):
        return []
    where = pc.field("key_id").isin(wanted)
    found = store.scan(QUARANTINE_KEYS, where=where, records=records)
    return [KeyRow(**row) for batch in found for row in batch.to_pylist()]


def _present(again: Planner) -> int:
    """Rows that the same erasure would find now."""
    return sum(edit.gone + edit.changed for edit in again.make({}).edits)
