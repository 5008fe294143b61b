"""Verifying: whatever is changed in the log or in the store is found, and the place is named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, InfrastructureFault
from tests.unit.transforms.audit_samples import NOW, OPENS, SEALS, logged_store, run_ids, verifiers
from tests.unit.transforms.store_samples import SEAL, store_with_runs
from tests.unit.transforms.test_audit_log import left_quickly
from transforms import audit_log
from transforms.audit_entries import Entry, commit_entries, stated
from transforms.audit_log import current_checkpoint, merge
from transforms.audit_note import Checkpoint, sign
from transforms.audit_verify import summary_of, verify_log
from transforms.manifests import Snapshot
from transforms.store import Store
from transforms.store_files import LocalFiles


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with more than 256 entries, unfinished tiles of several sizes, and both sides' signatures."""
    root = tmp_path_factory.mktemp("logged")
    store = logged_store(root, 1)
    left_quickly(store.files_of_store, 0, 300)
    merge(store_with_runs(root, run_ids(1, 1), SEAL), SEALS, NOW)
    merge(store_with_runs(root, run_ids(2, 1), SEAL), OPENS, NOW)
    return root


@pytest.fixture
def copied(logged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(logged, tmp_path / "S"))


def codes(root: Path, *earlier: bytes) -> set[str]:
    return {code for code, _ in verify_log(str(root), verifiers(root), earlier).findings.listed}


def test_what_was_verified_is_told(logged: Path) -> None:
    said = summary_of(verify_log(str(logged), verifiers(logged)))
    assert said["holds"]
    assert said["findings"] == []
    assert said["by_type"] == {"key": 2, "merge": 3, "opening": 300, "run": 3}
    assert (said["entries"], said["commits"], said["files"], said["waiting"]) == (308, 3, 6, 0)
    assert len(said["earlier"]) == 2
    assert said["verifiers_from"] == "outside"
    own = summary_of(verify_log(str(logged)))
    assert (own["holds"], own["verifiers_from"]) == (True, "the store itself")
    assert own["verifiers"] == said["verifiers"]


def log_files(root: Path) -> list[str]:
    """Files of the log, but for those that only the store's keys can judge."""
    found = (path for path in (root / "log").rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(root)) for path in found if path.parent.name != "signers")


def test_any_changed_byte_of_the_log_is_found(copied: Path) -> None:
    chance = random.Random(11)
    for name in log_files(copied):
        path = copied / name
        content = path.read_bytes()
        places = {0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(4))}
        for place in places:
            spoilt = bytearray(content)
            spoilt[place] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(spoilt))
            assert not verify_log(str(copied)).holds, (name, place)
        path.write_bytes(content)
    assert verify_log(str(copied)).holds


def test_any_file_of_the_log_that_is_gone_or_cut_is_found(copied: Path) -> None:
    for name in log_files(copied):
        path = copied / name
        content = path.read_bytes()
        for spoilt in (content[:-1], content + b"\x00", b""):
            path.write_bytes(spoilt)
            assert not verify_log(str(copied)).holds, name
        path.unlink()
        unneeded = "/signed/" in name or name.endswith("001.p/49")
        assert verify_log(str(copied)).holds == unneeded, name
        path.write_bytes(content)


def test_any_changed_byte_of_a_commit_or_its_files_is_found(copied: Path) -> None:
    chance = random.Random(12)
    kept = [
        path for path in copied.rglob("*") if path.is_file() and "log" not in path.relative_to(copied).parts
    ]
    for path in (path for path in kept if path.name not in (".lock", "format.json")):
        content = bytearray(path.read_bytes())
        place = chance.randrange(len(content))
        content[place] ^= 1
        path.write_bytes(bytes(content))
        assert not verify_log(str(copied)).holds, path.name
        content[place] ^= 1
        path.write_bytes(bytes(content))
    assert verify_log(str(copied)).holds


def delete(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def add_stray(root: Path) -> None:
    (root / "log/tile/0/000.p/9").parent.mkdir(exist_ok=True)
    (root / "log/tile/0/x001").mkdir()
    (root / "log/tile/0/x001/000").write_bytes(bytes(8192))


def rewrite_last_manifest(root: Path) -> None:
    path = sorted((root / "manifests").glob("*.json"))[-1]
    path.write_bytes(path.read_bytes().replace(b"2026-01-01", b"2026-01-02"))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (delete("log/checkpoint"), "AUDIT_LOG_MISSING"),
        (delete("log/tile/0/000"), "AUDIT_TILE_BROKEN"),
        (delete("manifests/0000000003.json"), "AUDIT_COMMIT_MISSING"),
        (delete("manifests/0000000002.json"), "STORE_MANIFEST_MISSING"),
        (rewrite_last_manifest, "AUDIT_MANIFESTS_DIFFER"),
        (add_stray, "AUDIT_STRAY_FILE"),
        (lambda root: shutil.rmtree(root / "log"), "AUDIT_LOG_MISSING"),
        (lambda root: shutil.rmtree(root / "telemetry"), "AUDIT_FILE_DIFFERS"),
        (lambda root: store_with_runs(root, run_ids(7, 1), SEAL), "AUDIT_COMMIT_UNLOGGED"),
    ],
)
def test_what_is_done_to_a_store_is_named(copied: Path, spoil: Callable[[Path], None], code: str) -> None:
    spoil(copied)
    result = verify_log(str(copied))
    assert code in {found for found, _ in result.findings.listed}
    assert not summary_of(result)["holds"]


def test_a_log_that_goes_on_continues_what_was_kept(copied: Path) -> None:
    kept = current_checkpoint(LocalFiles(str(copied)))
    assert kept is not None
    merge(store_with_runs(copied, run_ids(5, 1), SEAL), SEALS, NOW)
    result = verify_log(str(copied), verifiers(copied), [kept])
    assert result.holds
    assert 308 in result.earlier


def test_only_who_kept_a_checkpoint_finds_a_log_that_was_set_back(copied: Path, tmp_path: Path) -> None:
    back = Path(shutil.copytree(copied, tmp_path / "back"))
    merge(store_with_runs(copied, run_ids(5, 1), SEAL), SEALS, NOW)
    kept = current_checkpoint(LocalFiles(str(copied)))
    assert kept is not None
    assert codes(back) == set()
    assert codes(back, kept) == {"AUDIT_HISTORY_CHANGED"}


def test_a_log_told_anew_under_the_same_keys_is_found_by_who_kept_a_checkpoint(copied: Path) -> None:
    kept = current_checkpoint(LocalFiles(str(copied)))
    assert kept is not None
    shutil.rmtree(copied / "log")
    merge(Store.open(copied), SEALS, NOW)
    left_quickly(LocalFiles(str(copied)), 0, 310)
    merge(store_with_runs(copied, run_ids(5, 1), SEAL), SEALS, NOW)
    assert codes(copied) == set()
    assert codes(copied, kept) == {"AUDIT_HISTORY_CHANGED"}


def test_a_kept_checkpoint_counts_only_with_its_signature(copied: Path) -> None:
    checkpoint = Checkpoint(verifiers(copied)[0].name, 5, bytes(32))
    assert codes(copied, checkpoint.text) == {"AUDIT_CHECKPOINT_BROKEN"}
    stranger = sign(checkpoint.text, "stranger", SEALS.log_signing_key)
    assert codes(copied, stranger) == {"AUDIT_SIGNER_UNKNOWN"}
    own = sign(checkpoint.text, checkpoint.origin, SEALS.log_signing_key)
    assert codes(copied, own) == {"AUDIT_HISTORY_CHANGED"}
    empty = sign(Checkpoint(checkpoint.origin, 0, bytes(32)).text, checkpoint.origin, SEALS.log_signing_key)
    assert codes(copied, empty) == {"AUDIT_HISTORY_CHANGED"}


def test_keys_from_outside_are_the_only_ones_that_count(copied: Path) -> None:
    ingest, _ = verifiers(copied)
    found = verify_log(str(copied), [ingest])
    assert [code for code, _ in found.findings.listed] == ["AUDIT_SIGNER_UNKNOWN"]
    merge(store_with_runs(copied, run_ids(5, 1), SEAL), SEALS, NOW)
    assert verify_log(str(copied), [ingest]).holds


def test_a_store_without_a_commit_has_no_log(tmp_path: Path) -> None:
    Store.open_or_create(tmp_path, SEAL)
    with pytest.raises(ConfigurationError) as caught:
        verify_log(str(tmp_path))
    assert caught.value.code == "AUDIT_NO_LOG"
    with pytest.raises(ConfigurationError):
        verify_log(str(tmp_path / "nowhere"))


def test_a_disk_that_cannot_be_read_is_an_error(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = LocalFiles.read

    def failing(self: LocalFiles, path: str) -> bytes:
        if path.startswith("log/tile"):
            raise InfrastructureFault("STORE_FILE_FAILED", "cannot read")
        return reads(self, path)

    monkeypatch.setattr(LocalFiles, "read", failing)
    with pytest.raises(InfrastructureFault):
        verify_log(str(copied))


@pytest.mark.parametrize("times", [0, 2])
def test_a_commit_whose_entries_are_missing_or_double_is_found(
    copied: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    def told(snapshot: Snapshot, after: int) -> Iterator[Entry]:
        for entry in commit_entries(snapshot, after):
            yield from [entry] * (1 if entry["type"] == "run" else times)

    facts = stated({"type": "opening", "items": 1})
    Store.open(copied, SEAL).commit("run-000030", [], facts)
    monkeypatch.setattr(audit_log, "commit_entries", told)
    merge(Store.open(copied), SEALS, NOW)
    assert codes(copied) == {"AUDIT_ENTRIES_DIFFER"}


def test_a_run_that_ends_meanwhile_is_no_finding(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, ran = LocalFiles.read, list[str]()

    def meanwhile(self: LocalFiles, path: str) -> bytes:
        if path.startswith("log/tile") and not ran:
            ran.append(path)
            merge(store_with_runs(copied, run_ids(20, 1), SEAL), SEALS, NOW)
        return reads(self, path)

    known = verifiers(copied)
    monkeypatch.setattr(LocalFiles, "read", meanwhile)
    result = verify_log(str(copied), known)
    assert (result.findings.listed, result.commits) == ([], 4)


def test_findings_are_counted_beyond_those_that_are_listed(copied: Path) -> None:
    store = Store.open(copied, SEAL)
    for number in range(120):
        store = store.commit(f"bare-{number:06d}", [], {})
    result = verify_log(str(copied))
    assert (len(result.findings.listed), result.findings.count) == (100, 120)
