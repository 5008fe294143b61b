"""The same input again changes nothing; the same event again is dropped, and an id used twice is sealed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.support import (
    comparable,
    ingest,
    lines_file,
    opened,
    reasons,
    rejects_of,
    row_counts,
)
from tests.pipeline.support_events import chat, joined
from transforms.splitting import PIECE_BYTES

CAP = 4096


def mixed_input(folder: Path) -> Path:
    """A bit of everything: events, rejects, unknown types, and files with faults of every sort."""
    good = [joined(number) for number in range(5)]
    lines_file(folder / "a.jsonl", [*good, chat("1", "first"), chat("2", "second")])
    lines_file(folder / "b.jsonl", [b"no json", b'{"event":"nobody.knows","x":1}', b'{"a":1,"a":2}', *good])
    lines_file(folder / "c.jsonl", [b'{"event":"' + b"x" * (2 * CAP) + b'"}', b"\xff\xfe"])
    (folder / "mark.jsonl").write_bytes(b"\xef\xbb\xbf" + b'{"event":"nobody.knows","x":2}\n')
    for name in ("one", "two"):
        (folder / f"torn-{name}.json").write_bytes(b'[{"event":"nobody.knows","x":3}, {"torn')
        packed = gzip.compress(b'{"event":"nobody.knows","x":4}\n' * 3, mtime=0)
        (folder / f"torn-{name}.jsonl.gz").write_bytes(packed[:-4])
    return folder


def test_the_same_input_again_adds_nothing(tmp_path: Path, keys: Path) -> None:
    folder, store = mixed_input(tmp_path / "in"), tmp_path / "S"
    first = ingest(folder, store, keys, record_cap=CAP)
    once = {**comparable(store, keys), "ledger": []}
    second = ingest(folder, store, keys, record_cap=CAP)
    assert second["outcomes"] == {"duplicate": first["records"]}
    assert {**comparable(store, keys), "ledger": []} == once


def test_files_that_are_damaged_alike_are_rejects_each(tmp_path: Path, keys: Path) -> None:
    ledger = ingest(mixed_input(tmp_path / "in"), tmp_path / "S", keys, record_cap=CAP)
    torn = {(entry.file, entry.reason) for entry in rejects_of(tmp_path / "S", keys) if entry.file >= 4}
    assert torn >= {(file, "UNTERMINATED_ARRAY") for file in (4, 6)}
    assert torn >= {(file, "TRUNCATED_STREAM") for file in (5, 7)}
    assert reasons(ledger)["TRUNCATED_STREAM"] == 2


def test_an_event_delivered_again_in_another_file_is_dropped(tmp_path: Path, keys: Path) -> None:
    events = [joined(number) for number in range(4)] + [chat(str(number), "hello") for number in range(4)]
    lines_file(tmp_path / "in/a.jsonl", events)
    lines_file(tmp_path / "in/b.jsonl", [*events, joined(99)])
    ledger = ingest(tmp_path / "in", tmp_path / "S", keys)
    assert ledger["outcomes"] == {"duplicate": 8, "separated": 9}
    later = ingest(lines_file(tmp_path / "later.jsonl", events[::-1]), tmp_path / "S", keys)
    assert later["outcomes"] == {"duplicate": 8}


def test_another_body_under_the_same_id_is_sealed_and_the_lowest_position_wins(
    tmp_path: Path, keys: Path
) -> None:
    path = lines_file(tmp_path / "in.jsonl", [chat("7", "the first"), chat("7", "the second")])
    ledger = ingest(path, tmp_path / "S", keys)
    assert reasons(ledger) == {"ID_COLLISION": 1}
    inside = opened(tmp_path / "S", keys)
    assert [raw for _, raw in inside.parts_of_kind("chat")] == [b'"the first"']
    (reject,) = rejects_of(tmp_path / "S", keys)
    assert b"the second" in reject.raw
    assert reject.offset == path.read_bytes().index(b"\n") + 1


def test_an_id_is_one_event_only_within_its_source_and_tenant(tmp_path: Path, keys: Path) -> None:
    events = [chat("7", "a"), chat("7", "b", tenant="t-2"), chat("7", "c", source="urn:example:other")]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", events), tmp_path / "S", keys)
    assert ledger["outcomes"] == {"separated": 3}


def test_a_tenant_that_is_named_elsewhere_in_an_event_makes_no_other_event_of_it(
    tmp_path: Path, keys: Path
) -> None:
    first, second, third = chat("7", "a"), chat("7", "b"), chat("7", "c")
    second = {key: second[key] for key in ("specversion", "id", "source", "type", "time")} | {
        "extra": {"tenant_id": "t-2"},
        "data": second["data"],
    }
    third["data"] = {"extra": {"tenant_id": "t-3"}, **third["data"]}
    lines = [json.dumps(event, separators=(",", ":")).encode() for event in (first, second, third)]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", lines), tmp_path / "S", keys)
    assert reasons(ledger) == {"ID_COLLISION": 2}
    assert len(opened(tmp_path / "S", keys).items) == 1


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": "text"}, {"data": {"tenant_id": 7}}])
def test_an_event_without_a_tenant_is_taken_or_sealed(
    data: dict[str, Any], tmp_path: Path, keys: Path
) -> None:
    event = {key: value for key, value in chat("7", "a").items() if key != "data"} | data
    ledger = ingest(lines_file(tmp_path / "in.jsonl", [event]), tmp_path / "S", keys)
    assert ledger["outcomes"] == {"separated": 1}


def test_an_id_collides_across_runs_and_the_run_that_came_first_wins(tmp_path: Path, keys: Path) -> None:
    store = tmp_path / "S"
    ingest(lines_file(tmp_path / "1.jsonl", [chat("7", "the first")]), store, keys)
    second = ingest(lines_file(tmp_path / "2.jsonl", [chat("7", "the second")]), store, keys)
    assert reasons(second) == {"ID_COLLISION": 1}
    assert [raw for _, raw in opened(store, keys).parts_of_kind("chat")] == [b'"the first"']


def test_a_collision_that_is_delivered_again_is_a_duplicate_of_itself(tmp_path: Path, keys: Path) -> None:
    events = [chat("7", "the first"), chat("7", "the second"), chat("7", "the second")]
    path = lines_file(tmp_path / "in.jsonl", events)
    ledger = ingest(path, tmp_path / "S", keys)
    assert ledger["outcomes"] == {"separated": 1, "rejected": 1, "duplicate": 1}
    before = row_counts(tmp_path / "S")
    again = ingest(path, tmp_path / "S", keys)
    assert again["outcomes"] == {"duplicate": 3}
    assert row_counts(tmp_path / "S") == before


def test_the_order_of_files_changes_no_count(tmp_path: Path, keys: Path) -> None:
    folder = mixed_input(tmp_path / "in")
    turned = tmp_path / "turned"
    turned.mkdir()
    for file in folder.iterdir():
        number = 999 - sorted(folder.iterdir()).index(file)
        (turned / f"{number}-{file.name}").write_bytes(file.read_bytes())
    forward = ingest(folder, tmp_path / "S1", keys, record_cap=CAP)
    backward = ingest(turned, tmp_path / "S2", keys, record_cap=CAP)
    assert backward["outcomes"] == forward["outcomes"]
    assert reasons(backward) == reasons(forward)
    assert backward["items"] == forward["items"]


def test_a_record_over_the_cap_comes_back_whole_from_its_pieces(tmp_path: Path, keys: Path) -> None:
    long = b'{"event":"' + b"longer than the cap " * (PIECE_BYTES // 8) + b'"}'
    assert len(long) > 2 * PIECE_BYTES
    path = lines_file(tmp_path / "in.jsonl", [joined(1), long, joined(2)])
    ledger = ingest(path, tmp_path / "S", keys, record_cap=CAP)
    assert ledger["outcomes"] == {"separated": 2, "rejected": 1}
    (reject,) = rejects_of(tmp_path / "S", keys)
    assert (reject.reason, reject.raw) == ("RECORD_TOO_LARGE", long)


def test_a_record_in_pieces_is_one_item(tmp_path: Path, keys: Path) -> None:
    long = b'{"event":"' + b"longer than the cap " * (PIECE_BYTES // 8) + b'"}'
    ledger = ingest(lines_file(tmp_path / "in.jsonl", [long]), tmp_path / "S", keys, record_cap=CAP)
    assert ledger["items"] == {"rejected": 1}
