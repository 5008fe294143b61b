"""What rows of a release are like that were written and read back, in the words of the second suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transforms.meeting_joins import unpacked
from transforms.release_content import RECORDS_IN_ROWS
from transforms.release_rules import ReleaseRules
from validation.decisions import RELEASE
from validation.release_suite import UNWITNESSED
from validation.witness import COVERED


def said_of_people(witnessed: Iterable[bytes]) -> dict[tuple[str, str], str]:
    """What the witness says of each item and purpose, from packed tables."""
    rows = (row for content in witnessed for row in unpacked(content).to_pylist())
    return {(row["item_id"], row["purpose"]): row["people"] for row in rows}


def written_findings(
    row: Mapping[str, Any],
    decided: Mapping[str, set[str]],
    classes: Mapping[str, Mapping[str, Any]],
    people: Mapping[tuple[str, str], str],
    rules: ReleaseRules,
    seen: set[tuple[str, str]],
) -> dict[str, str]:
    """What a written row is like, in the words of the suite; only what is wrong.

    Args:
        row: The row, without its content.
        decided: Decisions to release of each item.
        classes: The rows of those decisions.
        people: What the witness says of each item and purpose.
        rules: Policies and registry.
        seen: Items and purposes of the rows before; the row's own are added.
    """
    found: dict[str, str] = {}
    item, decision_id = row["item_id"], row["decision_id"]
    if item is None:
        found["item_id"] = "missing"
    elif decision_id not in decided.get(item, ()):
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
    if word != COVERED:
        found["people"] = word
    named = classes.get(decision_id)
    if named is None:
        return {**found, "decision_id": "unresolved"}
    return {**found, **_differences(row, named, rules)}


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
