"""Under which epoch's root a past event's pseudonyms are made: its own, or none.

An event that is taken in late belongs to the period in which it was received. Where the root of that period
is destroyed, its telemetry is unlinked for good, and the event stays sealed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import pyarrow as pa

from schemas.errors import InfrastructureFault
from transforms.key_files import EPOCH_ROOT
from transforms.keys import ReleaseKeys
from transforms.pseudonyms import (
    TENANT_TYPE,
    Pseudonymiser,
    join_pseudonyms,
    telemetry_pseudonyms,
    truncate_ip,
)
from transforms.shape_columns import Tenants

EPOCH_UNLINKED = "EPOCH_UNLINKED"
"""The root of the event's epoch is destroyed: nothing can be tied to its telemetry any more."""

TENANT_UNKNOWN = "TENANT_UNKNOWN"
"""Its pseudonyms need the customer account's own id, which the store does not hold: name it."""


class Linked(NamedTuple):
    """The epoch's root (16 bytes) and the raw tenant that an event's telemetry pseudonyms are made with."""

    epoch_id: bytes
    tenant: str | None

    def __repr__(self) -> str:
        return f"<Linked to epoch {self.epoch_id.hex()}>"


class Epochs:
    """The epochs of a store, as its keys know them.

    Args:
        keys: The release side's keys.
        tenants: Raw ids of tenants that events may be of.

    Raises:
        InfrastructureFault: These keys have no root at all (``KEYS_WITHOUT_ROOTS``).
    """

    def __init__(self, keys: ReleaseKeys, tenants: Iterable[str] = ()) -> None:
        refuse_without_roots(keys)
        entries = [each for each in keys.descriptions if each.purpose == EPOCH_ROOT]
        self._roots = sorted((each.epoch, each.created, bytes.fromhex(each.key_id)) for each in entries)
        self._keys = keys
        self._tenants = {
            telemetry_pseudonyms(keys, epoch_id=root).pseudonym(tenant, identifier_type=TENANT_TYPE): Linked(
                root, tenant
            )
            for tenant in tenants
            for root in keys.epoch_roots
        }

    def of_day(self, day: date) -> bytes | None:
        """The root (16 bytes) that was written with on a day, None if it may be one that is destroyed.

        On the day of a renewal it is the new one.
        """
        text = day.isoformat()
        begun = [root for root in self._roots if root[1] <= text]
        if not begun:
            first = self._roots[0]
            return first[2] if first[0] == 1 else None
        epoch, _, found = begun[-1]
        later = [root[0] for root in self._roots[len(begun) :]]
        return found if not later or later[0] == epoch + 1 else None

    def of_row(self, tenant: str | None, day: date) -> Linked | str:
        """What the pseudonyms of a row of telemetry are made with, or the reason why nobody can tell.

        Args:
            tenant: The row's pseudonym of its tenant.
            day: The day on which it was received.
        """
        if tenant in self._tenants:
            return self._tenants[tenant or ""]
        root = self.of_day(day)
        if root is None:
            return EPOCH_UNLINKED
        return TENANT_UNKNOWN if tenant is not None else Linked(root, None)


def refuse_without_roots(keys: ReleaseKeys) -> None:
    """Refuse keys under which no pseudonym for telemetry can be made.

    Raises:
        InfrastructureFault: These keys have no root at all (``KEYS_WITHOUT_ROOTS``).
    """
    if not keys.epoch_roots:
        raise InfrastructureFault(
            "KEYS_WITHOUT_ROOTS",
            f"{keys.directory} holds no pseudonym roots; make a directory that continues it with "
            "`cofferdam keys init NEW --continues OLD`, and name its release side",
        )


class PartPseudonyms:
    """Pseudonyms of values of past events, all of one epoch and tenant.

    Args:
        keys: The release side's keys.
        linked: The epoch and tenant; None where no pseudonym for telemetry is to be made.
    """

    def __init__(self, keys: ReleaseKeys, linked: Linked | None) -> None:
        self._join = join_pseudonyms(keys)
        self._linked = linked
        self._telemetry: Pseudonymiser | None = None
        if linked is not None:
            self._telemetry = telemetry_pseudonyms(keys, epoch_id=linked.epoch_id)

    def telemetry(self, identifier_type: str, values: pa.Array, tenants: Tenants) -> pa.Array:
        """Pseudonyms under the epoch's keys of the one tenant, whatever tenants the values seem to have."""
        if self._telemetry is None or self._linked is None:
            return pa.nulls(len(values), pa.string())
        if identifier_type == TENANT_TYPE:
            return self._telemetry.pseudonymise_tenants(values)
        return self._telemetry.pseudonymise(
            values, identifier_type=identifier_type, tenants=self._linked.tenant
        )

    def join(self, identifier_type: str, values: pa.Array) -> pa.Array:
        """Pseudonyms under the store's join key."""
        return self._join.pseudonymise(values, identifier_type=identifier_type)

    def truncate_ip(self, value: str) -> str | None:
        """The /24 or /48 network of an address, None where the text is no address."""
        return truncate_ip(value)


__all__ = ["EPOCH_UNLINKED", "TENANT_UNKNOWN", "Epochs", "Linked", "PartPseudonyms", "refuse_without_roots"]
