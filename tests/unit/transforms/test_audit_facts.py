"""What a commit states about its evidence, and the proof that a row is in the log."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import DECISION_ITEMS, FIXED_TABLES, NEVER_REPLACED, TOMBSTONES
from tests.unit.transforms.audit_samples import NOW, SEALS, verifiers
from tests.unit.transforms.store_samples import SEAL
from transforms.audit_entries import row_bytes, row_leaves, stated
from transforms.audit_facts import EVIDENCE, audited
from transforms.audit_log import merge
from transforms.audit_tree import proves_inclusion, root_of
from transforms.audit_verify import summary_of, verify_log
from transforms.manifests import FileRecord
from transforms.store import Store

ITEMS = [hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in range(9)]


def tombstone(item: str) -> dict[str, Any]:
    return {
        "run_id": "erase-000001",
        "item_id": item,
        "kind": "chat",
        "key_id": bytes(16),
        "digest": bytes(32),
        "reason": "REQUESTED",
        "as_of": datetime(2026, 3, 2, tzinfo=UTC),
    }


def written(store: Store, run_id: str, items: list[str]) -> list[FileRecord]:
    files = []
    for part in (items[: len(items) // 2], items[len(items) // 2 :]):
        with store.writer(run_id, TOMBSTONES) as writer:
            writer.append(pa.Table.from_pylist(list(map(tombstone, part)), schema=FIXED_TABLES[TOMBSTONES]))
            files += writer.close()
    return files


@pytest.fixture
def erased(tmp_path: Path) -> Path:
    store = Store.open_or_create(tmp_path, SEAL)
    adds = written(store, "erase-000001", ITEMS)
    own = {"type": "erasure", "items": len(ITEMS)}
    store.commit("erase-000001", adds, audited({"kind": "erase", **stated(own)}, store, adds))
    merge(store, SEALS, NOW)
    return tmp_path


def test_a_table_of_evidence_is_one_entry_behind_those_that_are_stated(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path, SEAL)
    adds = written(store, "erase-000001", ITEMS)
    facts = audited({"kind": "erase", **stated({"type": "erasure", "items": 9})}, store, adds)
    root = root_of(row_leaves(map(tombstone, reversed(ITEMS)))).hex()
    assert facts == {
        "kind": "erase",
        "audit": [
            {"type": "erasure", "items": 9},
            {"type": "erasure", "table": TOMBSTONES, "key": "item_id", "rows": 9, "root": root},
        ],
    }
    assert audited({"kind": "x"}, store, []) == {"kind": "x", "audit": []}


def test_every_row_of_evidence_is_shown_to_be_in_the_log(erased: Path) -> None:
    result = verify_log(str(erased), verifiers(erased), wanted=ITEMS)
    assert result.holds
    assert len(result.evidence) == len(ITEMS)
    for item, found in zip(ITEMS, result.evidence, strict=True):
        assert found.row == row_bytes(tombstone(item))
        for proof in (found.in_entry, found.in_log):
            assert proves_inclusion(proof.leaf, proof.index, proof.size, proof.path, proof.root)
    assert result.checkpoint is not None
    assert result.evidence[0].in_log.root == result.checkpoint.root
    assert len(summary_of(result)["evidence"]) == len(ITEMS)


def test_what_is_not_in_the_log_has_no_proof(erased: Path) -> None:
    result = verify_log(str(erased), wanted=["0" * 32])
    assert [code for code, _ in result.findings.listed] == ["AUDIT_NOT_FOUND"]


@pytest.mark.parametrize(
    "change",
    [{"root": "0" * 64}, {"key": "kind"}, {"table": "telemetry/calls"}, {"table": "decisions/items"}],
)
def test_an_entry_that_states_what_is_not_so_proves_nothing(tmp_path: Path, change: dict[str, str]) -> None:
    store = Store.open_or_create(tmp_path, SEAL)
    adds = written(store, "erase-000001", ITEMS)
    (entry,) = audited({}, store, adds)["audit"]
    store.commit("erase-000001", adds, stated({**entry, **change}))
    merge(store, SEALS, NOW)
    result = verify_log(str(tmp_path), wanted=ITEMS[:1])
    assert [code for code, _ in result.findings.listed] == ["AUDIT_NOT_FOUND"]


def test_a_store_that_does_not_hold_proves_nothing(erased: Path) -> None:
    (erased / "log" / "tile" / "0").rename(erased / "log" / "elsewhere")
    result = verify_log(str(erased), wanted=ITEMS[:1])
    assert (result.evidence, result.holds) == ([], False)


def test_tables_that_are_never_replaced_are_evidence_and_have_the_column_that_names_their_rows() -> None:
    fixed = {
        table for table in FIXED_TABLES if table.split("/")[0] in ("decisions", "openings", "tombstones")
    }
    assert set(EVIDENCE) == fixed - {DECISION_ITEMS}
    assert all(key in FIXED_TABLES[table].names for table, (_, key) in EVIDENCE.items())
    assert all(table.split("/")[0] in NEVER_REPLACED for table in EVIDENCE)
