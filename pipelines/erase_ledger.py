"""The ledger of an erasure: counts and codes of what goes, and the guard that stops too much of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from schemas.errors import TooMuchErased
from schemas.tables import (
    QUARANTINE_ITEMS,
    QUARANTINE_REJECTED,
    RELEASED,
    ROSTER,
    TELEMETRY,
)
from transforms.erase_coverage import unreached_in
from transforms.erase_plan import ErasurePlan
from transforms.erase_recalls import telemetry_recalls
from transforms.store import Store

_GUARDED: Final = (QUARANTINE_ITEMS, QUARANTINE_REJECTED, TELEMETRY, ROSTER)
"""Parts of a store that cannot be had again; released copies can."""


def erasure_ledger(
    run_id: str, as_of: str, store: Store, plan: ErasurePlan, *, due: bool, waiting: int
) -> dict[str, Any]:
    """What an erasure does, as JSON can hold it: counts, codes and file names only.

    Args:
        run_id: The run.
        as_of: Its instant.
        store: The store before it.
        plan: What it does.
        due: Whether everything that is due goes.
        waiting: Items that are due and share a data key with items that are not.
    """
    gone, changed = plan.gone(), plan.changed()
    return {
        "run_id": run_id,
        "as_of": as_of,
        "all_due": due,
        "items": len({each.item_id for each in plan.destroyed}),
        "reasons": dict(sorted(Counter(each.reason for each in plan.destroyed).items())),
        "kinds": dict(sorted(Counter(each.kind for each in plan.destroyed).items())),
        "waiting": waiting,
        "data_keys": len(plan.keys),
        "bundle_keys": len(plan.bundles),
        "events": len(plan.events),
        "recalls": plan.gone()[RELEASED],
        "telemetry_recalls": len({export["run_id"] for export, _, _ in telemetry_recalls(store, plan)}),
        "rows": {
            table: {"gone": gone[table], "changed": changed[table], "of": plan.rows[table]}
            for table in sorted({*gone, *changed})
        },
        "share": {part: round(share, 3) for part, share in shares(plan).items()},
        "files": {"rewritten": len(plan.edits), "of": len(store.snapshot.live)},
        "held": dict(sorted(plan.held.items())),
        "unreached": unreached_in(store),
    }


def shares(plan: ErasurePlan) -> dict[str, float]:
    """The share (percent) of each part of the store that goes; rows that only lose a name do not count."""
    gone, total = _by_part(plan.gone()), _by_part(plan.rows)
    return {part: 100 * gone[part] / total[part] for part in _GUARDED if total[part]}


def _by_part(rows: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for table, number in rows.items():
        found[table if table in _GUARDED else table.split("/")[0]] += number
    return found


def check_guard(ledger: Mapping[str, Any], max_share: float, *, dry_run: bool) -> None:
    """Stop an erasure that would reach too much.

    Raises:
        TooMuchErased: With code ``ERASES_TOO_MUCH``.
    """
    over = [f"{part} {share:.1f} %" for part, share in ledger["share"].items() if share > max_share]
    if over and not dry_run:
        message = (
            f"{', '.join(over)} would go, and {max_share:g} % is allowed; nothing was changed. Look with "
            "--dry-run at what is reached, and allow more with --max-share if it is right"
        )
        raise TooMuchErased("ERASES_TOO_MUCH", message)
