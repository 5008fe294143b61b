"""Merging: every commit has its entries once, whoever merges, whenever it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from tests.unit.transforms.audit_samples import (
    NOW,
    OPENS,
    SEALS,
    SampleKeys,
    logged_store,
    run_ids,
    sample_keys,
    verifiers,
)
from tests.unit.transforms.store_samples import SEAL, store_with_runs
from transforms.audit_append import resume_log
from transforms.audit_entries import PENDING, encode, leave_entry
from transforms.audit_log import current_checkpoint, merge, origin_of
from transforms.audit_note import read_checkpoint, sign, unverified_checkpoint
from transforms.audit_tiles import TileReader
from transforms.audit_verify import Verification, verify_log
from transforms.store import Store
from transforms.store_files import StoreFiles


def entries(root: Path) -> list[dict[str, Any]]:
    files = Store.open(root).files_of_store
    content = current_checkpoint(files)
    assert content is not None
    size = unverified_checkpoint(content)[0].size
    return [json.loads(entry) for entry in TileReader(files.read, size).entries(0, size)]


def verified(root: Path, *earlier: bytes) -> Verification:
    result = verify_log(str(root), verifiers(root), earlier)
    assert result.findings.listed == []
    return result


def left(files: StoreFiles, number: int) -> None:
    leave_entry(files, f"opening-{number:06d}", {"type": "opening", "items": number})


def left_quickly(files: StoreFiles, first: int, count: int) -> None:
    """Many entries, without waiting for the disk after each."""
    folder = Path(files.root) / PENDING
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        entry = encode({"type": "opening", "items": number})
        (folder / f"opening-{number:06d}.json").write_bytes(entry)


def test_every_commit_has_its_entry_and_every_merge_ends_with_one(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 2)
    said = entries(tmp_path)
    assert [entry["type"] for entry in said] == ["run", "key", "merge", "run", "merge"]
    manifests = store.snapshot.manifests
    assert [entry["run_id"] for entry in said if entry["type"] == "run"] == ["run-000000", "run-000001"]
    assert said[0]["sha256"] == manifests[1].previous
    assert said[3] | {"sha256": ""} == {
        "type": "run",
        "format": 1,
        "kind": "",
        "manifest": 2,
        "part": 0,
        "of": 1,
        "run_id": "run-000001",
        "sha256": "",
        "files": 1,
        "rows": 1,
        "removed": 0,
        "version": "",
    }
    assert said[4]["head"] == store.snapshot.last_digest
    verified(tmp_path)


def test_a_merge_of_nothing_changes_nothing(tmp_path: Path) -> None:
    store = logged_store(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert merge(store, SEALS, NOW) == current_checkpoint(store.files_of_store)
    assert {path: path.read_bytes() for path in before} == before


def test_a_store_without_a_commit_has_no_log(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path, SEAL)
    left(store.files_of_store, 1)
    assert merge(store, SEALS, NOW) is None
    with pytest.raises(ConfigurationError) as caught:
        origin_of(store.snapshot)
    assert caught.value.code == "AUDIT_NO_LOG"


def test_an_older_store_gets_all_its_entries_at_once(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path, run_ids(0, 20), SEAL)
    merge(store, SEALS, NOW)
    assert [entry["manifest"] for entry in entries(tmp_path) if entry["type"] == "run"] == list(range(1, 21))
    assert verified(tmp_path).commits == 20


def test_both_sides_sign_one_log(tmp_path: Path) -> None:
    logged_store(tmp_path, 1)
    merge(store_with_runs(tmp_path, run_ids(1, 1), SEAL), OPENS, NOW)
    first, second = verifiers(tmp_path)
    content = current_checkpoint(Store.open(tmp_path).files_of_store)
    assert content is not None
    assert read_checkpoint(content, [second])
    with pytest.raises(PromiseBroken):
        read_checkpoint(content, [first])
    merge(store_with_runs(tmp_path, run_ids(2, 1), SEAL), SEALS, NOW)
    keys = [
        (entry["side"], entry["change"], entry["verifier"])
        for entry in entries(tmp_path)
        if entry["type"] == "key"
    ]
    assert keys == [("ingest", "new", str(first)), ("release", "new", str(second))]
    verified(tmp_path)


def test_new_keys_and_keys_that_are_gone_are_entries(tmp_path: Path) -> None:
    merge(store_with_runs(tmp_path, run_ids(0, 1), SEAL), sample_keys("ingest", 1, ["aa"]), NOW)
    merge(store_with_runs(tmp_path, run_ids(1, 1), SEAL), sample_keys("ingest", 1, ["bb"]), NOW)
    changes = [(entry["change"], entry["key_id"]) for entry in entries(tmp_path) if entry["type"] == "key"]
    assert changes[1:] == [("new", "aa"), ("new", "bb"), ("gone", "aa")]


def test_new_rules_are_entries(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path, SEAL)
    for number, rules in enumerate(["one", "one", "two"]):
        facts = {"kind": "release", "ledger": {"policy_hash": rules, "outcomes": {"RELEASE": number}}}
        store = store.commit(f"run-{number:06d}", [], facts)
    merge(store, SEALS, NOW)
    said = entries(tmp_path)
    changes = [
        (entry["now"], entry["before"], entry["manifest"]) for entry in said if entry["type"] == "policy"
    ]
    assert changes == [("one", None, 1), ("two", "one", 3)]
    assert [entry["outcomes"] for entry in said if entry["type"] == "run"] == [
        {"RELEASE": n} for n in range(3)
    ]
    verified(tmp_path)


def test_what_was_left_is_taken_up_once_and_in_order(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 1)
    for number in (2, 1, 2):
        left(store.files_of_store, number)
    assert verify_log(str(tmp_path)).waiting == 2
    merge(store, OPENS, NOW)
    merge(store, SEALS, NOW)
    waiting = [(entry["pending"], entry["items"]) for entry in entries(tmp_path) if "pending" in entry]
    assert waiting == [("opening-000001", 1), ("opening-000002", 2)]
    assert verified(tmp_path).waiting == 0


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"type":"opening","said":"Anna is ill"}', b"\xff" * 70_000]
)
def test_what_is_left_and_is_no_entry_does_not_end_the_log(tmp_path: Path, content: bytes) -> None:
    store = logged_store(tmp_path, 1)
    path = tmp_path / "log" / "pending" / "opening-000001.json"
    path.parent.mkdir()
    path.write_bytes(content)
    merge(store, SEALS, NOW)
    (entry,) = (entry for entry in entries(tmp_path) if "pending" in entry)
    assert (entry["type"], entry["bytes"]) == ("unreadable", len(content))
    assert not path.exists()
    assert verified(tmp_path).waiting == 0


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 99), st.sampled_from([SEALS, OPENS])),
        min_size=1,
        max_size=6,
    )
)
def test_any_history_verifies_and_continues_each_of_its_checkpoints(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, int, SampleKeys]]
) -> None:
    root = tmp_path_factory.mktemp("history")
    kept, runs, waiting = [], 0, 0
    store = store_with_runs(root, run_ids(0, 1), SEAL)
    for more, openings, keys in history:
        store = store_with_runs(root, run_ids(runs := runs + 1, 1), SEAL)
        for number in range(more):
            store = store.commit(f"bare-{runs}-{number:06d}", [], {})
        left_quickly(store.files_of_store, waiting, openings)
        waiting += openings
        content = merge(store, keys, NOW)
        assert content is not None
        kept.append(content)
    result = verified(root, *kept)
    assert len(result.earlier) >= len(kept)
    counts = Counter(entry["type"] for entry in entries(root))
    assert (counts["run"], counts["opening"]) == (len(store.snapshot.manifests), waiting)


# --- killed -------------------------------------------------------------------------------------------------


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that is killed at its n-th change of a file; false if it ended before."""
    child = os.fork()
    if child == 0:
        left_steps = [step]

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY
            if writes or event in ("os.rename", "os.remove", "os.link", "os.mkdir"):
                left_steps[0] -= 1
                if not left_steps[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module", params=[0, 1, 252])
def before(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose log has no entry, some, or almost 256; then two more commits and an opening."""
    root = tmp_path_factory.mktemp("before")
    store = Store.open_or_create(root, SEAL)
    if request.param:
        left_quickly(store.files_of_store, 1000, request.param - 3)
        merge(store := store.commit("run-000000", [], {}), SEALS, NOW)
    for number in (1, 2):
        store = store.commit(f"run-{number:06d}", [], {})
    left(store.files_of_store, 1)
    return root


@pytest.mark.parametrize("next_side", [SEALS, OPENS])
def test_a_merge_killed_anywhere_leaves_a_log_that_verifies_and_the_next_finishes_it(
    tmp_path: Path, before: Path, next_side: SampleKeys
) -> None:
    for step in range(1, 1000):
        root = tmp_path / f"{step:04d}"
        shutil.copytree(before, root)
        store = Store.open(root, SEAL)
        was_killed = killed_at(step, partial(merge, store, SEALS, NOW))
        found = {code for code, _ in verify_log(str(root)).findings.listed}
        assert found <= {"AUDIT_LOG_MISSING", "AUDIT_COMMIT_UNLOGGED"}, step
        assert was_killed or not found
        left(store.files_of_store, 2)
        merge(store.commit("run-000003", [], {}), next_side, NOW)
        verified(root)
        openings = Counter(entry["pending"] for entry in entries(root) if "pending" in entry)
        assert (openings["opening-000001"], openings["opening-000002"]) == (1, 1)
        assert set(openings.values()) == {1}
        assert not (root / "log" / "merging").exists()
        shutil.rmtree(root)
        if not was_killed:
            assert step > 15
            return
    raise AssertionError("the merge never ended")


# --- refused ------------------------------------------------------------------------------------------------


def forged(root: Path, keys: SampleKeys, other: Path) -> None:
    """Put another log, made with a key of this one's, in the place of this one."""
    store_files = Store.open(root).files_of_store
    for path in (other / "log").rglob("*"):
        if path.is_file() and "signed" not in path.parts:
            store_files.replace(str(path.relative_to(other)), path.read_bytes())


def test_a_side_signs_nothing_that_does_not_continue_what_it_signed(tmp_path: Path) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    logged_store(real, 1, OPENS)
    merge(store_with_runs(real, run_ids(1, 1), SEAL), SEALS, NOW)
    other.mkdir()
    for path in (path for path in real.rglob("*") if path.is_file() and "log" not in path.parts):
        (other / path.relative_to(real)).parent.mkdir(parents=True, exist_ok=True)
        (other / path.relative_to(real)).write_bytes(path.read_bytes())
    merge(
        Store.open(other), replace(SEALS, descriptions=()), NOW
    )  # a past of the same commits, told otherwise
    verifying = verify_log(str(other), verifiers(other))
    assert verifying.holds
    for path in list((real / "log" / "tile").rglob("*")):
        if path.is_file():
            path.unlink()
    forged(real, SEALS, other)
    with pytest.raises(PromiseBroken) as caught:
        merge(store_with_runs(real, run_ids(2, 1), SEAL), OPENS, NOW)
    assert caught.value.code == "AUDIT_HISTORY_CHANGED"
    found = {code for code, _ in verify_log(str(real), verifiers(real)).findings.listed}
    assert "AUDIT_HISTORY_CHANGED" in found


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("log/checkpoint", "AUDIT_CHECKPOINT_BROKEN"),
        ("log/tile/0/000.p/7", "AUDIT_ROOT_DIFFERS"),
        ("log/tile/entries/000.p/7", "AUDIT_TILE_BROKEN"),
        ("log/verifiers", "AUDIT_VERIFIERS_BROKEN"),
    ],
)
def test_nothing_is_added_to_a_log_that_is_damaged(tmp_path: Path, path: str, code: str) -> None:
    logged_store(tmp_path)
    content = bytearray((tmp_path / path).read_bytes())
    content[-2] ^= 1
    (tmp_path / path).write_bytes(bytes(content))
    with pytest.raises(PromiseBroken) as caught:
        merge(store_with_runs(tmp_path, run_ids(9, 1), SEAL), SEALS, NOW)
    assert caught.value.code in (code, "AUDIT_SIGNATURE")


def test_a_log_that_a_stranger_signed_is_continued_by_nobody(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 2)
    shutil.rmtree(tmp_path / "log")
    stranger = sample_keys("release", 77)
    merge(store, stranger, NOW)
    for path in (tmp_path / "log" / "signers").iterdir():
        path.write_bytes(b"0" * 64)  # whoever has not the store's keys cannot make it up
    assert verify_log(str(tmp_path)).holds
    for side in (SEALS, OPENS):
        with pytest.raises(PromiseBroken, match="AUDIT_SIGNER_UNKNOWN"):
            merge(store, side, NOW)
    assert merge(store, stranger, NOW) is not None


def test_a_side_whose_voucher_is_damaged_makes_it_again(tmp_path: Path) -> None:
    logged_store(tmp_path, 2)
    (voucher,) = (tmp_path / "log" / "signers").iterdir()
    voucher.write_bytes(b"")
    with pytest.raises(PromiseBroken, match="AUDIT_SIGNER_UNKNOWN"):
        merge(store_with_runs(tmp_path, run_ids(8, 1), SEAL), OPENS, NOW)
    merge(Store.open(tmp_path, SEAL), SEALS, NOW)
    assert merge(store_with_runs(tmp_path, run_ids(9, 1), SEAL), OPENS, NOW) is not None
    verified(tmp_path)


def test_a_log_whose_checkpoint_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    store = logged_store(tmp_path)
    (tmp_path / "log" / "checkpoint").unlink()
    with pytest.raises(PromiseBroken) as caught:
        merge(store, SEALS, NOW)
    assert caught.value.code == "AUDIT_CHECKPOINT_MISSING"


def test_a_log_that_was_deleted_is_begun_anew_by_no_run(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 2)
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(PromiseBroken) as caught:
        resume_log(store.files_of_store.root, SEALS)
    assert caught.value.code == "AUDIT_LOG_MISSING"
    assert current_checkpoint(store.files_of_store) is None
    merge(store, SEALS, NOW)
    resume_log(store.files_of_store.root, SEALS)


def test_a_run_killed_between_the_first_commit_and_the_log_is_made_up_for(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path, run_ids(0, 1), SEAL)
    resume_log(store.files_of_store.root, SEALS)
    assert verified(tmp_path).commits == 1


def test_manifests_that_are_not_those_of_the_log_stop_a_merge(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 3)
    store.files_of_store.delete(store.snapshot.manifests[-1].path)
    with pytest.raises(PromiseBroken) as caught:
        merge(store, SEALS, NOW)
    assert caught.value.code == "AUDIT_MANIFESTS_DIFFER"


def test_another_stores_log_is_refused(tmp_path: Path) -> None:
    logged_store(tmp_path / "a", 1)
    logged_store(tmp_path / "b", 1, OPENS)
    (tmp_path / "a" / "log" / "checkpoint").write_bytes((tmp_path / "b" / "log" / "checkpoint").read_bytes())
    with pytest.raises(PromiseBroken) as caught:
        merge(Store.open(tmp_path / "a"), SEALS, NOW)
    assert caught.value.code == "AUDIT_SIGNER_UNKNOWN"
    shutil.rmtree(tmp_path / "a" / "log")
    shutil.copytree(tmp_path / "b" / "log", tmp_path / "a" / "log")
    with pytest.raises(PromiseBroken) as caught:
        merge(Store.open(tmp_path / "a"), SEALS, NOW)
    assert caught.value.code == "AUDIT_OTHER_LOG"
    found = {code for code, _ in verify_log(str(tmp_path / "a")).findings.listed}
    assert "AUDIT_OTHER_LOG" in found
    origin = origin_of(Store.open(tmp_path / "b").snapshot)
    assert origin != origin_of(Store.open(tmp_path / "a").snapshot)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"from":1}', b'{"from":5,"to":4}', b'{"from":0,"to":1000000000}', b'{"from":9,"to":10}'],
)
def test_a_mark_of_merging_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    store = logged_store(tmp_path, 1)
    (tmp_path / "log" / "merging").write_bytes(content)
    with pytest.raises(PromiseBroken) as caught:
        merge(store, SEALS, NOW)
    assert caught.value.code == "AUDIT_MERGING_BROKEN"
    assert not verify_log(str(tmp_path)).holds


def test_two_merges_do_not_meet(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 1)
    with store.files_of_store.lock("other", "log"), pytest.raises(InfrastructureFault) as caught:
        merge(store, SEALS, NOW)
    assert caught.value.code == "STORE_LOCKED"


def test_merging_reads_no_more_of_a_long_log_than_its_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open_or_create(tmp_path, SEAL)
    left_quickly(store.files_of_store, 0, 1100)
    store = store.commit("run-000001", [], {})
    merge(store, SEALS, NOW)
    store = store.commit("run-000002", [], {})
    read: list[str] = []
    kind = type(store.files_of_store)
    reads = kind.read

    def counted(self: Any, path: str) -> bytes:
        read.append(path)
        return reads(self, path)

    monkeypatch.setattr(kind, "read", counted)
    merge(store, SEALS, NOW)
    tiles = {path for path in read if path.startswith("log/tile")}
    assert len(tiles) <= 6, tiles
    verified(tmp_path)


def test_a_signature_of_the_sides_own_key_is_needed(tmp_path: Path) -> None:
    store = logged_store(tmp_path, 1)
    content = current_checkpoint(store.files_of_store)
    assert content is not None
    checkpoint, _ = unverified_checkpoint(content)
    stranger = sample_keys("ingest", 7).log_signing_key
    (tmp_path / "log" / "checkpoint").write_bytes(sign(checkpoint.text, checkpoint.origin, stranger))
    with pytest.raises(PromiseBroken) as caught:
        merge(store, SEALS, NOW)
    assert caught.value.code == "AUDIT_SIGNER_UNKNOWN"
