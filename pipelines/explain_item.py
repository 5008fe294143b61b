"""What was decided about one item, in plain words: why it is held, and what would change that."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from pipelines.report_labels import counted
from schemas.errors import ConfigurationError
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, RELEASED
from transforms.store import Store
from validation.reasons import CATALOGUE

_OUTCOMES = {
    "RELEASE": "may go",
    "QUARANTINE": "stays sealed",
    "ERASE": "may not be used, and what was released of it is to be deleted",
    "REJECT": "is rejected",
}


def explain_item(store: str, item_id: str) -> list[dict[str, Any]]:
    """The last decision about an item for each purpose and recipient.

    Args:
        store: The store's root.
        item_id: Id of the item (32 hexadecimal digits).

    Raises:
        ConfigurationError: Nothing was decided about such an item (``ITEM_NOT_DECIDED``).
    """
    opened = Store.open(store)
    last: dict[tuple[str, str], dict[str, Any]] = {}
    if DECISION_ITEMS in opened.tables():
        where = pc.field("item_id") == item_id
        rows = opened.read_table(DECISION_ITEMS, where=where).to_pylist()
        for row in sorted(rows, key=lambda row: (row["run_id"], row["stage"])):
            last[row["purpose"], row["recipient"]] = row
    if not last:
        message = "no release has decided about an item with this id; `cofferdam release` does"
        raise ConfigurationError("ITEM_NOT_DECIDED", message)
    released = _released(opened, item_id)
    return [_explained(opened, row, released) for _, row in sorted(last.items())]


def items_led_by(store: str, code: str, limit: int) -> tuple[int, list[str]]:
    """Items whose decision in the last release led with a reason.

    Args:
        store: The store's root.
        code: The reason code.
        limit: How many ids are wanted.

    Returns:
        How many decisions led with it, and ids of items among them (32 hexadecimal digits), the first ones in
        their order.

    Raises:
        ConfigurationError: The store has no release yet (``NOTHING_DECIDED``).
    """
    opened = Store.open(store)
    run_id = _last_run(opened)
    if run_id is None:
        raise ConfigurationError("NOTHING_DECIDED", "no release has decided yet; `cofferdam release` does")
    found: set[str] = set()
    count = 0
    where = (pc.field("primary") == code) & (pc.field("run_id") == run_id) & (pc.field("stage") == "decide")
    for batch in opened.scan(DECISION_ITEMS, ["item_id"], where):
        count += batch.num_rows
        found = set(sorted(found.union(batch.column(0).to_pylist()))[:limit])
    return count, sorted(found)


def _last_run(store: Store) -> str | None:
    if DECISION_ITEMS not in store.tables():
        return None
    runs = (pc.max(batch.column(0)).as_py() for batch in store.scan(DECISION_ITEMS, ["run_id"]))
    return max((run for run in runs if run is not None), default=None)


def _released(store: Store, item_id: str) -> set[tuple[str, str]]:
    if RELEASED not in store.tables():
        return set()
    columns = ["item_id", "purpose", "recipient"]
    rows = store.read_table(RELEASED, columns, where=pc.field("item_id") == item_id).to_pylist()
    return {(row["purpose"], row["recipient"]) for row in rows}


def _explained(store: Store, row: dict[str, Any], released: set[tuple[str, str]]) -> dict[str, Any]:
    where = (
        (pc.field("decision_id") == row["decision_id"])
        & (pc.field("run_id") == row["run_id"])
        & (pc.field("stage") == row["stage"])
    )
    known = store.read_table(DECISION_CLASSES, where=where).to_pylist()[0]
    return {
        "item_id": row["item_id"],
        "purpose": row["purpose"],
        "recipient": row["recipient"],
        "decision": row["decision"],
        "released": (row["purpose"], row["recipient"]) in released,
        "run_id": row["run_id"],
        "decision_id": row["decision_id"],
        "as_of": known["as_of"].isoformat(),
        "kind": known["kind"],
        "people": known["people"],
        "agreeing": sum(one["people"] for one in known["outcomes"] if one["agrees"]),
        "regions": known["regions"],
        "roster_doubts": known["roster_doubts"],
        "reasons": [_reason(code, known) for code in known["reasons"]],
        "advisories": [_reason(code, known) for code in known["advisories"]],
        "record_ids": known["record_ids"],
    }


def _reason(code: str, known: dict[str, Any]) -> dict[str, Any]:
    reason = CATALOGUE[code]
    people = sum(one["people"] for one in known["outcomes"] if code in one["reasons"])
    return {
        "code": code,
        "sentence": reason.sentence,
        "law": reason.hook,
        "cure": reason.cure,
        "people": people,
    }


def as_text(explained: list[dict[str, Any]]) -> str:
    """The explanation for people."""
    return "\n\n".join(map(_one_text, explained))


def _one_text(one: dict[str, Any]) -> str:
    outcome = _OUTCOMES[one["decision"]]
    lines = [
        f"Item {one['item_id']} ({one['kind']}), for {one['purpose']} to {one['recipient']}: it {outcome}.",
        f"  Decided as of {one['as_of']}, decision {one['decision_id']}, run {one['run_id']}.",
        f"  Concerns {counted(one['people'], 'person', 'people')}, of whom {one['agreeing']} agree by valid "
        "records.",
    ]
    if one["regions"]:
        lines.append(f"  Rules that applied: {', '.join(one['regions'])}.")
    if one["roster_doubts"]:
        lines.append(f"  Doubts about who was there: {', '.join(one['roster_doubts'])}.")
    for reason in one["reasons"]:
        about = f" ({counted(reason['people'], 'person', 'people')})" if reason["people"] else ""
        lines += [
            f"  {reason['code']}{about}: {reason['sentence']}",
            f"    What would help: {reason['cure']}",
        ]
    lines += [f"  Note {advice['code']}: {advice['sentence']}" for advice in one["advisories"]]
    if one["decision"] == "RELEASE":
        lines.append(f"  Rests on records: {', '.join(one['record_ids']) or 'none needed'}.")
        lines.append(
            "  It was released." if one["released"] else "  It was not released: the run was stopped."
        )
    elif one["released"]:
        lines.append("  An earlier run has released it.")
    return "\n".join(lines)
