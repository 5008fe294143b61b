"""The two spaces of pseudonyms that separation writes: telemetry's and the join key's, never mixed."""

from __future__ import annotations

import pyarrow as pa

from transforms.keys import IngestKeys, ReleaseKeys
from transforms.pseudonyms import TENANT_TYPE, join_pseudonyms, telemetry_pseudonyms, truncate_ip
from transforms.shape_columns import Tenants


class PseudonymSpaces:
    """Pseudonyms for telemetry and for joins, under one key directory's keys.

    Args:
        keys: The writing side's keys, or the release side's where past events are taken in again.
        epoch_id: Id (16 bytes) of the epoch's root; None for the one that is written now.
    """

    def __init__(self, keys: IngestKeys | ReleaseKeys, epoch_id: bytes | None = None) -> None:
        self._telemetry = telemetry_pseudonyms(keys, epoch_id=epoch_id)
        self._join = join_pseudonyms(keys)

    def telemetry(self, identifier_type: str, values: pa.Array, tenants: Tenants) -> pa.Array:
        """Pseudonyms under the epoch's keys of each row's tenant."""
        if identifier_type == TENANT_TYPE:
            return self._telemetry.pseudonymise_tenants(values)
        return self._telemetry.pseudonymise(values, identifier_type=identifier_type, tenants=tenants)

    def join(self, identifier_type: str, values: pa.Array) -> pa.Array:
        """Pseudonyms under the store's join key."""
        return self._join.pseudonymise(values, identifier_type=identifier_type)

    def truncate_ip(self, value: str) -> str | None:
        """The /24 or /48 network of an address, None where the text is no address."""
        return truncate_ip(value)
