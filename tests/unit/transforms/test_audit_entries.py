"""Entries: one spelling, nothing that could be text, everything that a commit says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InfrastructureFault
from transforms.audit_entries import (
    checked,
    commit_entries,
    decode,
    encode,
    leave_entry,
    pending_entries,
    rooted,
    row_bytes,
    row_leaves,
    stated,
)
from transforms.audit_tree import leaf_hash, root_of
from transforms.store import Store

GOOD: dict[str, Any] = {
    "type": "erasure",
    "run_id": "20260302t100000z-00000001",
    "rows": 3,
    "table": "tombstones/items",
    "as_of": "2026-03-02T10:00:00+00:00",
    "contracts": ["zoom-meeting@1.0.0"],
    "by": {"kind=chat": 2, "none": None, "done": True},
    "verifier": "cofferdam/log/00+01234567+AbC/=",
}


def test_an_entry_has_one_spelling() -> None:
    assert encode({"b": 1, "a": "é"}) == b'{"a":"\\u00e9","b":1}'
    assert decode(b'{"a":1,"b":2}') == {"a": 1, "b": 2}
    for other in (b'{"b":2,"a":1}', b'{"a": 1}', b'{"a":1,"a":1}', b"[]", b"1", b"", b"\xff", b"[" * 100_000):
        assert decode(other) is None


def test_ids_codes_counts_and_digests_are_an_entry() -> None:
    assert stated(GOOD) == {"audit": [GOOD]}


@pytest.mark.parametrize(
    "more",
    [
        {"said": "Anna is ill"},
        {"who": "ada@example.com"},
        {"said": "line\nline"},
        {"said": "häßlich"},
        {"a key": 1},
        {"share": 0.5},
        {"rows": 1 << 60},
        {"digest": b"bytes"},
        {"deep": [[[[["x"]]]]]},
        {"long": "x" * 257},
        {"many": ["x" * 200] * 400},
        {"type": "Not A Word"},
        {"type": ""},
        {"type": None},
    ],
)
def test_what_could_be_text_is_none(more: dict[str, Any]) -> None:
    with pytest.raises(InfrastructureFault) as caught:
        checked({**GOOD, **more})
    assert caught.value.code == "AUDIT_ENTRY"
    assert "Anna" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_passes_has_no_space_and_reads_as_it_was(value: Any) -> None:
    try:
        entry = checked({"type": "run", "value": value})
    except InfrastructureFault:
        return
    content = encode(entry)
    assert b" " not in content
    assert decode(content) == entry


def committed(root: Path, facts: dict[str, Any]) -> list[dict[str, Any]]:
    return list(commit_entries(Store.open_or_create(root).commit("run-000001", [], facts).snapshot, 0))


def test_a_commits_own_entries_follow_its_run(tmp_path: Path) -> None:
    said = committed(tmp_path, {"kind": "erase", **stated(GOOD, {"type": "opening", "items": 2})})
    assert [(entry["type"], entry["part"], entry["of"], entry["manifest"]) for entry in said] == [
        ("run", 0, 3, 1),
        ("erasure", 1, 3, 1),
        ("opening", 2, 3, 1),
    ]
    assert said[0]["kind"] == "erase"
    assert said[1] == {**GOOD, "format": 1, "manifest": 1, "part": 1, "of": 3}


@pytest.mark.parametrize(
    "facts", [{"audit": "Anna is ill"}, {"audit": [{"type": "run", "x": "Anna is ill"}]}]
)
def test_what_a_commit_states_and_may_not_is_a_digest(tmp_path: Path, facts: dict[str, Any]) -> None:
    said = committed(tmp_path, facts)
    assert [entry["type"] for entry in said] == ["run", "unreadable"]
    assert "Anna" not in json.dumps(said)


def test_words_that_are_none_are_left_out(tmp_path: Path) -> None:
    ledger = {
        "version": "a b",
        "outcomes": {"Anna is ill": 1},
        "policy_hash": "a b",
        "contracts": ["x" * 999],
    }
    said = committed(tmp_path, {"kind": ["x"], "ledger": ledger})
    assert [entry["type"] for entry in said] == ["run", "policy", "policy"]
    assert (said[0]["kind"], said[0]["version"], "outcomes" in said[0]) == ("", "", False)
    assert "a b" not in json.dumps(said[1:])


@pytest.mark.parametrize(
    "name", ["", "short", "UPPER-CASE", "../../manifests", "a b c d e", "-begins", "x" * 97]
)
def test_a_name_that_is_no_files_is_refused(tmp_path: Path, name: str) -> None:
    files = Store.open_or_create(tmp_path).files_of_store
    with pytest.raises(InfrastructureFault) as caught:
        leave_entry(files, name, GOOD)
    assert caught.value.code == "AUDIT_ENTRY"
    assert not (tmp_path / "log").exists()


def test_strays_among_the_entries_that_wait_are_passed_over(tmp_path: Path) -> None:
    files = Store.open_or_create(tmp_path).files_of_store
    leave_entry(files, "opening-1", GOOD)
    leave_entry(files, "opening-1", {**GOOD, "rows": 4})
    (tmp_path / "log" / "pending" / ".draft-0011").write_bytes(b"half")
    (tmp_path / "log" / "pending" / "notes.txt").write_bytes(b"")
    (waiting,) = pending_entries(files)
    assert (waiting.name, waiting.entry) == ("opening-1", GOOD)


def test_rows_have_one_spelling_and_no_order() -> None:
    row = {
        "id": "a",
        "at": datetime(2026, 3, 2, 10, tzinfo=UTC),
        "key": b"\x01\xff",
        "list": ["x"],
        "none": None,
    }
    spelt = b'{"at":"2026-03-02T10:00:00+00:00","id":"a","key":"01ff","list":["x"],"none":null}'
    assert row_bytes(row) == spelt
    rows = [{**row, "id": name} for name in "cab"]
    assert (
        row_leaves(rows) == row_leaves(reversed(rows)) == sorted(leaf_hash(row_bytes(each)) for each in rows)
    )
    entry = rooted("decisions", "decisions/classes", "id", rows)
    assert entry == {
        "type": "decisions",
        "table": "decisions/classes",
        "key": "id",
        "rows": 3,
        "root": root_of(row_leaves(rows)).hex(),
    }
    with pytest.raises(TypeError):
        row_bytes({"a": object()})
