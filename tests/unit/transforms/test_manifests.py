from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.manifests import FileRecord, Manifest, check_run_id, check_table_name, fold, load_snapshot
from transforms.store_files import LocalFiles

PATHS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=4)
CHANGES = st.lists(st.tuples(PATHS, PATHS), max_size=8)


def record(name: str, table: str = "roster") -> FileRecord:
    return FileRecord(path=f"{table}/{name}", table=table, rows=1, size=1, sha256="")


def change(number: int, adds: list[str], removes: list[str], table: str = "roster") -> Manifest:
    paths = tuple(f"{table}/{name}" for name in removes)
    added = tuple(record(name, table) for name in adds)
    return Manifest(1, number, "", f"run-{number:06d}", added, paths, {})


def expected(changes: list[tuple[list[str], list[str]]]) -> set[str] | None:
    """Live files by plain set arithmetic, or None where a change breaks the law."""
    live: set[str] = set()
    named: set[str] = set()
    for adds, removes in changes:
        if not set(removes) <= live or named & set(adds):
            return None
        live = (live - set(removes)) | set(adds)
        named |= set(adds)
    return live


@given(CHANGES)
def test_live_files_are_what_was_added_and_not_removed(changes: list[tuple[list[str], list[str]]]) -> None:
    manifests = [change(number, *parts) for number, parts in enumerate(changes, 1)]
    law = expected(changes)
    if law is None:
        with pytest.raises(InfrastructureFault, match="STORE_MANIFEST_BROKEN"):
            fold(manifests)
        return
    live, removed = fold(manifests)
    assert set(live) == {f"roster/{name}" for name in law}
    assert removed == {f"roster/{name}" for adds, _ in changes for name in adds} - set(live)


@pytest.mark.parametrize("table", ["consents", "decisions", "tombstones", "ledger"])
def test_evidence_is_never_taken_away(table: str) -> None:
    with pytest.raises(InfrastructureFault, match="STORE_MANIFEST_BROKEN"):
        fold([change(1, ["a"], [], table), change(2, [], ["a"], table)])


def chain(root: Path, count: int) -> LocalFiles:
    files = LocalFiles(str(root))
    for number in range(1, count + 1):
        before = load_snapshot(files)
        made = Manifest(1, number, before.last_digest, f"run-{number:06d}", (record(str(number)),), (), {})
        assert files.create(made.path, made.encoded())
    return files


def test_a_chain_is_read_back(tmp_path: Path) -> None:
    snapshot = load_snapshot(chain(tmp_path, 3))
    assert [manifest.number for manifest in snapshot.manifests] == [1, 2, 3]
    assert set(snapshot.live) == {"roster/1", "roster/2", "roster/3"}
    found = snapshot.of_run("run-000002")
    assert found is not None
    assert found.number == 2


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    files = chain(tmp_path, 3)
    files.delete("manifests/0000000002.json")
    with pytest.raises(InfrastructureFault, match=r"STORE_MANIFEST_MISSING: manifests/0000000002\.json"):
        load_snapshot(files)


def tampered(root: Path, number: int, /, **values: object) -> None:
    path = root / f"manifests/{number:010d}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


ESCAPING = [{"path": "roster/../../x", "table": "roster", "rows": 1, "size": 1, "sha256": ""}]
ELSEWHERE = [{"path": "manifests/x", "table": "roster", "rows": 1, "size": 1, "sha256": ""}]


@pytest.mark.parametrize(
    "values",
    [
        {"number": 3},
        {"previous": "00"},
        {"extra": 1},
        {"format": "1"},
        {"format": 0},
        {"adds": ESCAPING},
        {"adds": ELSEWHERE},
        {"removes": ["roster/none"]},
    ],
)
def test_a_tampered_manifest_is_named(tmp_path: Path, values: dict[str, object]) -> None:
    files = chain(tmp_path, 2)
    tampered(tmp_path, 2, **values)
    with pytest.raises(InfrastructureFault, match=r"STORE_MANIFEST_BROKEN: manifests/0000000002\.json"):
        load_snapshot(files)


def test_a_change_of_an_earlier_manifest_is_found_by_the_next(tmp_path: Path) -> None:
    files = chain(tmp_path, 2)
    tampered(tmp_path, 1, facts={"as_of": "forged"})
    with pytest.raises(InfrastructureFault, match=r"STORE_MANIFEST_BROKEN: manifests/0000000002\.json"):
        load_snapshot(files)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format":1}'])
def test_an_unreadable_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    files = chain(tmp_path, 1)
    (tmp_path / "manifests/0000000001.json").write_bytes(content)
    with pytest.raises(InfrastructureFault, match=r"STORE_MANIFEST_BROKEN: manifests/0000000001\.json"):
        load_snapshot(files)


def test_a_newer_manifest_asks_for_an_upgrade(tmp_path: Path) -> None:
    files = chain(tmp_path, 1)
    tampered(tmp_path, 1, format=2, surprise=True)
    with pytest.raises(ConfigurationError, match=r"STORE_TOO_NEW.*upgrade"):
        load_snapshot(files)


def test_drafts_and_strangers_are_no_manifests(tmp_path: Path) -> None:
    files = chain(tmp_path, 1)
    (tmp_path / "manifests/.draft-00").write_text("half")
    (tmp_path / "manifests/notes.txt").write_text("x")
    assert len(load_snapshot(files).manifests) == 1


@pytest.mark.parametrize("run_id", ["", "short", "../../run", "Run-000001", "-run-0001", "r" * 65])
def test_a_run_id_cannot_shape_a_path(run_id: str) -> None:
    with pytest.raises(ConfigurationError, match="STORE_RUN_ID"):
        check_run_id(run_id)


@pytest.mark.parametrize("table", ["", "manifests", "log", "telemetry/../keys", "telemetry/A", "rosters"])
def test_a_table_lies_in_an_area(table: str) -> None:
    with pytest.raises(ConfigurationError, match="STORE_TABLE_NAME"):
        check_table_name(table)
