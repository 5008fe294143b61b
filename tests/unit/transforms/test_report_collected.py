from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from transforms.report_collected import FOUND, named, separation
from validation.report_controls import Separation


def told(*ledgers: dict[str, Any]) -> Separation:
    view: Any = SimpleNamespace(ledgers=lambda kind: [(None, ledger) for ledger in ledgers])
    return separation(view)


def ledger(**changes: Any) -> dict[str, Any]:
    return {"outcomes": {"separated": 5, "unknown": 1, "rejected": 2}, "contracts": ["a@1.0.0"], **changes}


def field(name: str, values: int) -> dict[str, Any]:
    return {"table": "t", "field": name, "values": values}


def test_fields_of_all_runs_are_added_up_most_frequent_first() -> None:
    unknown = {"table": "t", "parent": "data", "name_digest": "ab", "json_type": "string", "values": 3}
    found = told(
        ledger(drift=[unknown], misfits=[field("x", 1)]), ledger(drift=[unknown], dropped=[field("y", 2)])
    )
    assert [(one.what, one.place, one.name_digest, one.values) for one in found.found] == [
        ("unknown", "data", "ab", 6),
        ("dropped", "y", "", 2),
        ("misfit", "x", "", 1),
    ]
    assert (found.unknown_types, found.rejected) == (2, 4)


def test_a_long_list_is_cut_off_and_says_so() -> None:
    found = told(ledger(misfits=[field(f"f{number:03}", 1) for number in range(FOUND + 5)]))
    assert len(found.found) == found.found_shown.shown == FOUND
    assert found.found_shown.total == FOUND + 5


def test_canaries_of_all_runs_are_told() -> None:
    planted = {"planted": 40, "found": 0, "files_searched": 90, "rows": {}, "items": {}}
    found = told(ledger(canaries=planted), ledger(), ledger(canaries={**planted, "found": 1}))
    assert (found.canary_runs, found.canaries, found.canaries_found, found.files_searched) == (2, 80, 1, 180)


def test_without_a_run_there_is_nothing_to_tell() -> None:
    assert (told().contracts, told().found, told().canary_runs) == ([], [], 0)


def test_counts_are_listed_by_number_and_name_without_zeros() -> None:
    assert [(one.name, one.count) for one in named({"b": 2, "a": 2, "c": 9, "none": 0})] == [
        ("c", 9),
        ("a", 2),
        ("b", 2),
    ]
