"""The tenant that canaries belong to: records of it that come from outside are not taken."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level
from schemas.contract import EventShape

RESERVED_TENANT: Final = "urn:cofferdam:canary"
"""What the tenant of a canary begins with."""

RESERVED: Final = "RESERVED_TENANT"
"""Reason code of such a record."""

_json = msgspec.json.Decoder().decode


def reserved_rows(level: Level, shape: EventShape) -> list[int]:
    """Which decoded events of a shape say that they are of the reserved tenant.

    Args:
        level: The events.
        shape: Their shape.
    """
    path = shape.envelope.get("tenant")
    tenants = None if path is None else level.cells.get(path)
    if tenants is None:
        return []
    if pa.types.is_binary(tenants.type):
        # A tenant that the contract seals: its JSON text.
        values = [None if raw is None else _json(raw) for raw in tenants.to_pylist()]
        tenants = pa.array([value if isinstance(value, str) else None for value in values], pa.string())
    if not pa.types.is_string(tenants.type):
        return []
    found = pc.fill_null(pc.starts_with(tenants, RESERVED_TENANT), False)
    return list(np.flatnonzero(found.to_numpy(zero_copy_only=False)).tolist())
