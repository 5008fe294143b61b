"""Whether a store's wrapped keys unwrap: what is lost, changed or swapped, by id. No content is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, QUARANTINE_BLOBS, QUARANTINE_KEYS
from transforms.chunked_encryption import SealBroken
from transforms.key_rotation_plan import bundle_rows, key_file_of, read_key_rows
from transforms.key_wrapping import KeyUnwrapper
from transforms.keys import ReleaseKeys
from transforms.sealed_format import COVERS_DATA
from transforms.store import Store


@dataclass
class KeyCheck:
    """What a check found.

    Attributes:
        data_keys: Data keys that unwrap.
        vaults: How many of them are under each vault key, by its id.
        broken: Code of each data key that does not unwrap, by its id.
        missing: Data keys of which the store holds a ciphertext and no row.
    """

    data_keys: int = 0
    vaults: dict[bytes, int] = field(default_factory=dict)
    broken: dict[bytes, str] = field(default_factory=dict)
    missing: set[bytes] = field(default_factory=set)

    @property
    def holds(self) -> bool:
        """Whether everything that is sealed has a key that unwraps."""
        return not (self.broken or self.missing)


def check_keys(store: Store, keys: ReleaseKeys) -> KeyCheck:
    """Unwrap every data key of a store.

    Raises:
        InfrastructureFault: The store cannot be read, or the vault not reached.
    """
    check = KeyCheck()
    known: list[pa.Array] = []
    for record in store.files(QUARANTINE_KEYS):
        bundles = bundle_rows(store, key_file_of(store, record))
        vaults = {row.key_id: row.wrapping_key_id for row in bundles}
        unwrapper = KeyUnwrapper(keys, bundles)
        for rows in read_key_rows(store, [record], pc.field("covers") == COVERS_DATA):
            for row in rows:
                try:
                    unwrapper.unwrap(row)
                except SealBroken as error:
                    check.broken[row.key_id] = error.code
                    continue
                check.data_keys += 1
                vault = vaults[row.wrapping_key_id]
                check.vaults[vault] = check.vaults.get(vault, 0) + 1
            known.append(_ids(row.key_id for row in rows))
        unwrapper.close()
    check.missing = _without_key(store, pa.chunked_array(known, _ID))
    return check


_ID = FIXED_TABLES[QUARANTINE_KEYS].field("key_id").type


def _ids(key_ids: object) -> pa.Array:
    return pa.array(key_ids, _ID)


def _without_key(store: Store, known: pa.ChunkedArray) -> set[bytes]:
    found: set[bytes] = set()
    for batch in store.scan(QUARANTINE_BLOBS, ["key_id"]):
        column = batch.column("key_id")
        found.update(column.filter(pc.invert(pc.is_in(column, value_set=known))).to_pylist())
    return found
