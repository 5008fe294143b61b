"""What rows of a release are like that were written and read back, in the words of the second suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from transforms.release_content import RECORDS_IN_ROWS
from transforms.release_rules import ReleaseRules
from validation.decisions import RELEASE
from validation.release_suite import UNWITNESSED
from validation.witness import COVERED

ITEM_COLUMNS: Final = ("item_id", "purpose", "decision_id", "decision", "reasons")
"""Columns of a written row that say what it is like as an item's."""


def item_findings(
    row: Mapping[str, Any],
    decided: Mapping[str, set[str]],
    people: Mapping[tuple[str, str], str],
    seen: set[tuple[str, str]],
) -> dict[str, str]:
    """What a written row is like as an item's, in the words of the suite; only what is wrong.

    Args:
        row: Its `ITEM_COLUMNS`.
        decided: Decisions to release of each item.
        people: What the witness says of each item and purpose.
        seen: Items and purposes of the rows before; the row's own are added.
    """
    found: dict[str, str] = {}
    item = row["item_id"]
    if item is None:
        found["item_id"] = "missing"
    elif row["decision_id"] not in decided.get(item, ()):
        found["item_id"] = "unknown"
    key = (str(item), str(row["purpose"]))
    if key in seen:
        found["repetition"] = "again"
    seen.add(key)
    if row["decision"] != RELEASE:
        found["decision"] = "missing" if row["decision"] is None else "other"
    if row["reasons"] != []:
        found["reasons"] = "missing" if row["reasons"] is None else "some"
    word = people.get(key, UNWITNESSED)
    return found if word == COVERED else {**found, "people": word}


def decision_findings(
    row: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]], rules: ReleaseRules
) -> dict[str, str]:
    """What a written row is like as a decision's, in the words of the suite; only what is wrong.

    Args:
        row: The row, without its content.
        classes: The rows of the decisions to release.
        rules: Policies and registry.
    """
    named = classes.get(row["decision_id"])
    return {"decision_id": "unresolved"} if named is None else _differences(row, named, rules)


def _differences(row: Mapping[str, Any], named: Mapping[str, Any], rules: ReleaseRules) -> dict[str, str]:
    """Where a written row and the decision that it names disagree."""
    pairs = {
        "purpose": "purpose",
        "recipient": "recipient",
        "kind": "kind",
        "terms": "terms",
        "policy": "policy_hash",
        "suites": "suite_hash",
        "as_of": "as_of",
    }
    found = {word: "other" for word, column in pairs.items() if row[column] != named[column]}
    record_ids = named["record_ids"]
    if (row["records"], row["record_ids"]) != (len(record_ids), record_ids[:RECORDS_IN_ROWS]):
        found["records"] = "other"
    if named["decision"] != RELEASE or row["as_of"] != rules.request.as_of_time:
        found["as_of"] = "other"
    if row["policy_hash"] != rules.policy_hash:
        found["policy"] = "other"
    asks = rules.policies.base_purposes.get(row["purpose"]) not in ("necessary", "authorised_case")
    if asks and not row["record_ids"]:
        found["grounds"] = "missing"
    return found
