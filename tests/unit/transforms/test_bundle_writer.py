"""A bundle seals every item once, in a group of its own sender, and counts what it hands over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import transforms.bundle_writer as bundle_writer
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_ITEMS, QUARANTINE_KEYS, QUARANTINE_REJECTED, ROSTER
from schemas.telemetry import all_telemetry_tables
from tests.unit.transforms.feature_contract import event, features
from tests.unit.transforms.separator_samples import (
    DAY,
    Taken,
    ingest_keys,
    opened_items,
    opened_store,
    table_rows,
    take,
)
from transforms.bundle_writer import BundleWriter, joined_groups
from transforms.chunked_encryption import length_prefixed
from transforms.cut_out import CutOut
from transforms.opening import OpenedItem, join_rejected
from transforms.parquet_files import WriteBudget
from transforms.sealed_format import BlobRow, KeyRow, split_prefixed, unframe_parts
from transforms.sealing import BundleSealer, RejectedPiece, pieces_of
from transforms.store import Store

RUN = "20260302t100000z-00000001"


def writer(folder: Path) -> BundleWriter:
    Store.open_or_create(str(folder))
    return BundleWriter(str(folder), RUN, ingest_keys(), all_telemetry_tables(features()), DAY)


def committed(folder: Path, bundle: BundleWriter) -> Path:
    files = bundle.close()
    Store.open(str(folder)).commit(RUN, files, {"kind": "ingest", "ledger": {}})
    return folder


def taken(*events: dict[str, Any]) -> Taken:
    return take(*events, contracts=features())


def framed_of(cuts: list[CutOut]) -> dict[bytes, bytes]:
    return {
        item_id.tobytes(): split_prefixed(item)[0]
        for cut in cuts
        for item_id, item in zip(cut.item_ids, cut.framed.to_pylist(), strict=True)
    }


# Groups.

_word = st.sampled_from([None, "a", "b", "c"])
_items = st.lists(st.tuples(_word, _word, _word, st.binary(max_size=6)), min_size=1, max_size=9)


def cut_of(items: list[tuple[Any, ...]], start: int) -> CutOut:
    ids = np.array([list((start + row).to_bytes(16, "big")) for row in range(len(items))], np.uint8)
    framed = pa.array([length_prefixed(item[3]) for item in items], pa.binary())
    join = [pa.array([item[place] for item in items], pa.string()) for place in range(3)]
    return CutOut("chat", "c@1", ids, framed, join, None)


@given(parts=st.lists(_items, min_size=1, max_size=4), sliced=st.booleans())
def test_groups_part_the_items_by_tenant_meeting_and_sender(
    parts: list[list[tuple[Any, ...]]], sliced: bool
) -> None:
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    cuts = [cut_of(items, start) for items, start in zip(parts, starts, strict=False)]
    if sliced:
        for cut in cuts:
            cut.framed = pa.concat_arrays([cut.framed, cut.framed]).slice(cut.size)
    flat = [item for items in parts for item in items]

    groups, order = joined_groups("chat", "c@1", cuts)

    assert sorted(order.tolist()) == list(range(len(flat)))
    assert len({group[:3] for group in groups}) == len(groups) == len({item[:3] for item in flat})
    seen: list[int] = []
    for group in groups:
        assert group[3:5] == ("chat", "c@1")
        for item_id, framed in group.as_group().items:
            number = int.from_bytes(item_id, "big")
            assert flat[number] == (*group[:3], framed)
            seen.append(number)
    assert seen == order.tolist()


@given(parts=st.lists(_items, min_size=1, max_size=3))
def test_a_vault_opens_exactly_what_was_sealed(parts: list[list[tuple[Any, ...]]]) -> None:
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    cuts = [cut_of(items, start) for items, start in zip(parts, starts, strict=False)]
    groups, order = joined_groups("chat", "c@1", cuts)
    with BundleSealer(ingest_keys(), created=DAY) as sealer:
        batch = sealer.seal_groups(groups)
    found = opened_items(batch.keys, batch.blobs)
    assert found == framed_of(cuts)
    assert len(batch.item_key_ids) == len(order)


# Whole bundles.


def test_every_item_opens_to_its_parts_and_its_row_says_where_it_lies(tmp_path: Path) -> None:
    events = [
        event(
            number,
            text=f"message {number}",
            title="T",
            who={"user_id": f"u-{number % 3}"},
            token="s",
            why="Anna",
        )
        for number in range(20)
    ]
    made = taken(*events)
    bundle = writer(tmp_path / "S")
    bundle.take_content(made.cuts())
    store = committed(tmp_path / "S", bundle)

    assert opened_store(store) == framed_of(made.cuts())
    keys = [KeyRow(**row) for row in table_rows(store, QUARANTINE_KEYS)]
    blobs = [BlobRow(**row) for row in table_rows(store, QUARANTINE_BLOBS)]
    items = table_rows(store, QUARANTINE_ITEMS)
    assert Counter(row["kind"] for row in items) == {"chat": 20, "meeting_title": 20}
    for row in items:
        (blob,) = [blob for blob in blobs if (blob.key_id, blob.part) == (row["key_id"], row["blob_part"])]
        assert bytes.fromhex(row["item_id"]) in opened_items(keys, [blob])
        assert (blob.tenant, blob.meeting, blob.sender) == (
            row["tenant_join"],
            row["meeting_join"],
            row["sender_join"],
        )
        assert (blob.kind, blob.contract) == (row["kind"], row["contract"])
    assert len({blob.key_id for blob in blobs}) == len(blobs) == 12
    assert bundle.counts.items == {"chat": 20, "meeting_title": 20, "secret": 20, "identity": 20}


def test_a_message_is_under_the_row_of_its_own_event(tmp_path: Path) -> None:
    events = [
        event(number, text=f"message {number}", who={"user_id": f"u-{5 - number}"}) for number in range(5)
    ]
    made = taken(*events)
    bundle = writer(tmp_path / "S")
    bundle.take_content(made.cuts())
    bundle.write_rows(made.groups[0].telemetry)
    store = committed(tmp_path / "S", bundle)
    opened = opened_store(store)
    rows = {row["event_id"]: row for row in table_rows(store, QUARANTINE_ITEMS)}
    for number, told in enumerate(made.rows("visits")):
        framed = opened[bytes.fromhex(rows[told["event_id"]]["item_id"])]
        assert unframe_parts(framed) == [("data.text", f'"message {number}"'.encode())]


def test_what_gathers_is_sealed_when_it_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_writer, "SEAL_BYTES", 2_000)
    bundle = writer(tmp_path / "S")
    cuts = [cut for number in range(30) for cut in taken(event(number, text="x" * 150)).cuts()]
    most = 0
    for cut in cuts:
        bundle.take_content([cut])
        most = max(most, bundle._pending_bytes)
    sealed = bundle.counts.rows[QUARANTINE_ITEMS]
    assert 0 < sealed < 30
    assert most < 2_000
    assert opened_store(committed(tmp_path / "S", bundle)) == framed_of(cuts)
    assert bundle.counts.rows[QUARANTINE_ITEMS] == 30


def test_rows_handed_over_are_counted_and_written(tmp_path: Path) -> None:
    files = [{"size": 1}, {"size": 2}]
    made = taken(event(1, files=files, text="x"), event(2, files=files), event(3, "visit.noted"))
    (group,) = made.groups
    bundle = writer(tmp_path / "S")
    bundle.write_rows(group.telemetry)
    bundle.write_rows({ROSTER: group.roster})
    bundle.take_content(group.content)
    store = committed(tmp_path / "S", bundle)
    assert bundle.counts.rows == {
        "telemetry/visits": 3,
        "telemetry/visits__files": 4,
        ROSTER: 2,
        QUARANTINE_ITEMS: 1,
        QUARANTINE_KEYS: 2,
        QUARANTINE_BLOBS: 1,
    }
    for name, number in bundle.counts.rows.items():
        assert len(table_rows(store, name)) == number
    paths = [file.path for file in Store.open(str(store)).files("telemetry/visits")]
    assert all("date=2026-03-01" in path for path in paths)


def test_all_tables_of_a_bundle_share_what_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_writer, "WriteBudget", lambda: WriteBudget(buffered_bytes=0, open_files=1))
    bundle = writer(tmp_path)
    made = taken(event(1, files=[{}]), event(2))
    names = [name for group in made.groups for name in group.telemetry]
    assert len(names) > 1

    for group in made.groups:
        bundle.write_rows(group.telemetry)
        # Nothing waits, and all files but one have been finished, whatever table they are of.
        readable = [path for path in tmp_path.rglob("*.parquet") if path.read_bytes().endswith(b"PAR1")]
        assert len(readable) == len(names) - 1

    committed(tmp_path, bundle)
    assert sum(len(table_rows(tmp_path, name)) for name in names) == 3


def test_rejects_open_to_their_bytes_and_say_where_and_why(tmp_path: Path) -> None:
    large = bytes(range(256)) * (5 << 12)
    pieces = [*pieces_of(b"A" * 16, large), RejectedPiece(b"B" * 16, b"no json")]
    rows: list[dict[str, object]] = [
        {
            "reject_id": piece.item_id.hex(),
            "source": None,
            "reason": "NOT_JSON",
            "file_index": 2,
            "offset": 7,
            "piece": piece.number,
            "last": piece.last,
            "stored": False,
        }
        for piece in pieces
    ]
    bundle = writer(tmp_path / "S")
    bundle.write_rejects(pieces, rows)
    store = committed(tmp_path / "S", bundle)

    blobs = [BlobRow(**row) for row in table_rows(store, QUARANTINE_BLOBS)]
    keys = [KeyRow(**row) for row in table_rows(store, QUARANTINE_KEYS)]
    opened = [
        OpenedItem(item_id, framed)
        for blob in blobs
        for item_id, framed in opened_items(keys, [blob]).items()
    ]
    assert join_rejected(opened) == {b"A" * 16: large, b"B" * 16: b"no json"}
    assert {blob.kind for blob in blobs} == {"rejected"}
    assert {key.holds for key in keys} == {"rejected"}
    told = table_rows(store, QUARANTINE_REJECTED)
    assert [(row["reject_id"], row["piece"], row["last"]) for row in told] == [
        (piece.item_id.hex(), piece.number, piece.last) for piece in pieces
    ]
    assert {row["received"] for row in told} == {DAY}
    assert all(row["size_class"] >= len(piece.raw) for row, piece in zip(told, pieces, strict=True))
    assert bundle.counts.items == {"rejected": 2}
    assert bundle.counts.rows[QUARANTINE_REJECTED] == len(pieces)


def test_rejects_and_content_are_under_bundle_keys_of_their_own(tmp_path: Path) -> None:
    bundle = writer(tmp_path / "S")
    bundle.take_content(taken(event(1, text="x")).cuts())
    row = {
        "reject_id": "41" * 16,
        "reason": "NOT_JSON",
        "file_index": 0,
        "offset": 0,
        "piece": 0,
        "last": True,
    }
    bundle.write_rejects([RejectedPiece(b"A" * 16, b"x")], [{**row, "source": None, "stored": False}])
    keys = table_rows(committed(tmp_path / "S", bundle), QUARANTINE_KEYS)
    assert Counter((row["covers"], row["holds"]) for row in keys) == {
        (covers, holds): 1 for covers in ("bundle", "data") for holds in ("items", "rejected")
    }


def test_an_abandoned_bundle_leaves_no_file(tmp_path: Path) -> None:
    bundle = writer(tmp_path / "S")
    made = taken(event(1, text="x"))
    bundle.write_rows(made.groups[0].telemetry)
    bundle.take_content(made.cuts())
    bundle._seal_pending()
    bundle.abandon()
    assert [path.name for path in (tmp_path / "S").rglob("*.parquet")] == []
    with pytest.raises(ValueError, match="keys are forgotten"):
        bundle.write_rejects([RejectedPiece(b"A" * 16, b"x")], [{}])


def test_nothing_is_sealed_after_the_end(tmp_path: Path) -> None:
    bundle = writer(tmp_path / "S")
    assert bundle.close() == []
    bundle.take_content(taken(event(1, text="x")).cuts())
    with pytest.raises(ValueError, match="keys are forgotten"):
        bundle.close()
