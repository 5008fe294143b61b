"""The first and the last step of every run: its entries go into the audit log, and the log is signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import apache_beam as beam

from transforms.audit_log import LogKeys, merge
from transforms.faults import value_free
from transforms.manifest_seal import seal_of
from transforms.store import Store

_Ledger = TypeVar("_Ledger")


def append_to_log(ledger: _Ledger, store: str, keys: LogKeys) -> _Ledger:
    """Merge whatever is not in the audit log yet; gives back what it was given.

    Raises:
        PromiseBroken: The log is not what it was (``AUDIT_…``). What was committed stays committed, and its
            entries follow once the log is restored.
        InfrastructureFault: The log cannot be written.
    """
    with value_free("write the audit log"):
        merge(Store.open(store, seal_of(keys)), keys, datetime.now(UTC))
    return ledger


def resume_log(store: str, keys: LogKeys) -> None:
    """Merge what a run that was killed has left; the first step of a run.

    Raises:
        PromiseBroken: As ``append_to_log``; or the log is gone (``AUDIT_LOG_MISSING``).
        InfrastructureFault: The log cannot be written.
    """
    with value_free("write the audit log"):
        merge(Store.open(store, seal_of(keys)), keys, datetime.now(UTC), may_begin=False)


@dataclass
class AppendToLog(beam.PTransform[Any, Any]):
    """Merge the log once a run has committed."""

    store: str
    keys: LogKeys = field(repr=False)

    def expand(self, ledger: Any) -> Any:
        """Ledger -> the same ledger."""
        return ledger | "Merge" >> beam.Map(append_to_log, self.store, self.keys)
