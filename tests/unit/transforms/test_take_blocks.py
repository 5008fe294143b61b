"""Every record of a block ends in exactly one outcome, whatever shares its block, group or bundle."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transforms.take_blocks as take_blocks
from schemas.classification import KIND_NUMBER
from schemas.tables import QUARANTINE_REJECTED
from tests.unit.transforms.feature_contract import event, features
from tests.unit.transforms.separator_samples import digester, opened_store, separator, table_rows
from tests.unit.transforms.test_bundle_writer import RUN, committed, writer
from transforms.duplicates import COLLISION, DUPLICATE, VERDICT_SCHEMA, VerdictIndex
from transforms.fault_digests import FAULT_FILES, fault_positions
from transforms.known_ids import KnownIds
from transforms.record_digests import RecordSum
from transforms.run_counts import RunCounts, total
from transforms.splitting import Block, SourceFault
from transforms.take_blocks import BlockTaker

GOOD, OTHER = "visit.came", "visit.noted"


def block(file: int, records: list[bytes], faults: list[SourceFault] | None = None, start: int = 0) -> Block:
    offsets = np.array([start + 1000 * number for number in range(len(records))], np.int64)
    return Block(file, offsets, records, faults or [])


def index(verdicts: dict[tuple[int, int], int] | None = None) -> VerdictIndex:
    rows = [{"file": file, "offset": at, "verdict": code} for (file, at), code in (verdicts or {}).items()]
    return VerdictIndex([pa.Table.from_pylist(rows, schema=VERDICT_SCHEMA)])


def line(number: int, kind: str = GOOD, **data: Any) -> bytes:
    return json.dumps(event(number, kind, **data)).encode()


class Bundle:
    """A bundle in a store of its own."""

    def __init__(self, folder: Path, known_ids: KnownIds | None = None) -> None:
        self.folder = folder
        self.writer = writer(folder)
        self.taker = BlockTaker(separator(features()), digester(), self.writer, RUN, known_ids=known_ids)

    def take(self, *blocks: Block, verdicts: dict[tuple[int, int], int] | None = None) -> RunCounts:
        for entry in blocks:
            self.taker.take(entry, index(verdicts))
        self.taker.finish()
        committed(self.folder, self.writer)
        return self.taker.counts

    def rejects(self) -> list[dict[str, Any]]:
        return table_rows(self.folder, QUARANTINE_REJECTED)


def outcomes(counts: RunCounts) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    for (_, _, outcome, reason), number in counts.records.items():
        found[str(outcome), reason] += number
    return dict(found)


def sum_of(*blocks: Block) -> RecordSum:
    found = RecordSum()
    for entry in blocks:
        found += digester().position_sum(entry.file, entry.offsets)
        if entry.faults:
            found += digester().position_sum(entry.file + FAULT_FILES, fault_positions(entry.faults))
    return found


def all_sums(counts: RunCounts) -> RecordSum:
    found = RecordSum()
    for positions in counts.sums.values():
        found += positions
    return found


def test_each_kind_of_record_has_its_outcome(tmp_path: Path) -> None:
    records = [
        line(1),
        b"no json",
        b'{"event":"nobody.knows"}',
        line(2, OTHER),
        line(3),
        line(4),
        b'{"a":1,"a":2}',
    ]
    bundle = Bundle(tmp_path)
    counts = bundle.take(
        block(3, records), verdicts={(3, 4000): DUPLICATE, (3, 5000): COLLISION, (9, 0): DUPLICATE}
    )

    assert counts.records == {
        ("cofferdam", "visit.came", "separated", "-"): 1,
        ("cofferdam", "visit.noted", "separated", "-"): 1,
        ("-", "-", "rejected", "NOT_JSON"): 1,
        ("-", "-", "rejected", "DUPLICATE_KEY"): 1,
        ("-", "-", "rejected", "ID_COLLISION"): 1,
        ("-", "-", "unknown", "UNKNOWN_TYPE"): 1,
        ("-", "-", "duplicate", "-"): 1,
    }
    assert counts.by_outcome() == {"separated": 2, "rejected": 3, "unknown": 1, "duplicate": 1}
    assert all_sums(counts) == sum_of(block(3, records))
    assert {name: positions.count for name, positions in counts.sums.items()} == counts.by_outcome()


def test_rejects_are_sealed_whole_and_say_where_they_stood(tmp_path: Path) -> None:
    records = [line(1), b"no json", b'{"event":"nobody.knows"}', line(2)]
    bundle = Bundle(tmp_path)
    bundle.take(block(0, []), block(7, records, start=50), verdicts={(7, 3050): COLLISION})
    rejects = {row["offset"]: row for row in bundle.rejects()}
    opened = opened_store(tmp_path)
    assert {at: (row["file_index"], row["reason"]) for at, row in rejects.items()} == {
        1050: (7, "NOT_JSON"),
        2050: (7, "UNKNOWN_TYPE"),
        3050: (7, "ID_COLLISION"),
    }
    for number in (1, 2, 3):
        row = rejects[1000 * number + 50]
        assert opened[bytes.fromhex(row["reject_id"])][5:] == records[number]
        assert (row["piece"], row["last"], row["stored"], row["source"]) == (0, True, False, None)
    kinds = [bytes.fromhex(rejects[at]["reject_id"])[-1] for at in (1050, 2050, 3050)]
    assert kinds == [KIND_NUMBER["rejected"], KIND_NUMBER["unknown"], KIND_NUMBER["rejected"]]


def test_what_a_shape_refuses_is_held_at_its_own_place(tmp_path: Path) -> None:
    broken = line(9)[:-1] + b',"type":"visit.came"}'
    blocks = [block(2, [line(1), broken]), block(5, [broken.replace(b"e-9", b"e-8"), line(2)], start=7)]
    bundle = Bundle(tmp_path)
    counts = bundle.take(*blocks)
    assert outcomes(counts) == {("separated", "-"): 2, ("rejected", "DUPLICATE_KEY"): 2}
    opened = opened_store(tmp_path)
    found = {(row["file_index"], row["offset"]): row for row in bundle.rejects()}
    assert set(found) == {(2, 1000), (5, 7)}
    for (file, _), row in found.items():
        raw = opened[bytes.fromhex(row["reject_id"])][5:]
        assert (b"e-9" in raw) is (file == 2)
    assert all_sums(counts) == sum_of(*blocks)


_kinds = st.sampled_from(["good", "noted", "files", "malformed", "unknown", "broken"])
_fates = st.sampled_from([0, 0, 0, DUPLICATE, COLLISION])


def record_of(kind: str, number: int) -> bytes:
    if kind == "malformed":
        return b"no json %d" % number
    if kind == "unknown":
        return b'{"event":"nobody.knows","n":%d}' % number
    if kind == "broken":
        return line(number)[:-1] + b',"type":"visit.came"}'
    return line(number, OTHER if kind == "noted" else GOOD, files=[{"size": 1}] if kind == "files" else None)


@settings(max_examples=30)
@given(
    parts=st.lists(st.lists(st.tuples(_kinds, _fates), max_size=6), min_size=1, max_size=4),
    group=st.sampled_from([1, 400, 1 << 20]),
    waiting=st.sampled_from([1, 700, 1 << 20]),
)
def test_every_record_has_one_outcome_in_any_grouping(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[str, int]]], group: int, waiting: int
) -> None:
    blocks, verdicts, expected = [], {}, Counter[str]()
    for file, kinds in enumerate(parts):
        blocks.append(block(file, [record_of(kind, 10 * file + row) for row, (kind, _) in enumerate(kinds)]))
        for row, (kind, fate) in enumerate(kinds):
            verdicts[file, 1000 * row] = fate
            plain = {"malformed": "rejected", "unknown": "unknown", "broken": "rejected"}.get(
                kind, "separated"
            )
            expected[{DUPLICATE: "duplicate", COLLISION: "rejected"}.get(fate, plain)] += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(take_blocks, "GROUP_BYTES", group)
        patch.setattr(take_blocks, "WAITING_BYTES", waiting)
        bundle = Bundle(tmp_path_factory.mktemp("S"))
        counts = bundle.take(*blocks, verdicts={key: fate for key, fate in verdicts.items() if fate})
    assert counts.by_outcome() == +expected
    assert all_sums(counts) == sum_of(*blocks)
    assert len(bundle.rejects()) == expected["rejected"] + expected["unknown"]
    assert counts.rows["telemetry/visits"] == expected["separated"]


@settings(max_examples=20)
@given(
    parts=st.lists(
        st.tuples(st.booleans(), st.lists(st.tuples(_kinds, _fates), max_size=6)), min_size=1, max_size=3
    ),
    group=st.sampled_from([1, 400, 1 << 20]),
)
def test_known_ids_go_with_their_records_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bool, list[tuple[str, int]]]], group: int
) -> None:
    rows = [(known, kind, fate) for known, kinds in parts for kind, fate in kinds]
    records = [record_of(kind, number) for number, (_, kind, _) in enumerate(rows)]
    true_ids = digester().identities(records).ids
    marked_ids, known_ids, first, blocks = true_ids.copy(), KnownIds(), 0, []
    for known, kinds in parts:
        upto = first + len(kinds)
        blocks.append(block(0, records[first:upto], start=1000 * first))
        if known and kinds:
            marked_ids[first:upto, 0] ^= 0xFF
            known_ids.keep(RUN, blocks[-1], marked_ids[first:upto])
        first = upto
    verdicts = {(0, 1000 * number): fate for number, (_, _, fate) in enumerate(rows) if fate}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(take_blocks, "GROUP_BYTES", group)
        bundle = Bundle(tmp_path_factory.mktemp("S"), known_ids)
        bundle.take(*blocks, verdicts=verdicts)

    expected = set()
    for number, (known, kind, fate) in enumerate(rows):
        if fate or kind not in ("good", "noted", "files"):
            continue
        # Records of one shape wait together, so that one whose id is unknown has all of theirs made again.
        expected |= {true_ids[number].tobytes().hex()} | (
            {marked_ids[number].tobytes().hex()} if known else set()
        )
    found = [row["event_id"] for row in table_rows(bundle.folder, "telemetry/visits")]
    assert len(found) == len(set(found))
    assert set(found) <= expected
    if all(known for known, _ in parts):
        assert set(found) == {
            marked_ids[number].tobytes().hex()
            for number, (_, kind, fate) in enumerate(rows)
            if not fate and kind in ("good", "noted", "files")
        }


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_blocks, "GROUP_BYTES", 2_000)
    monkeypatch.setattr(take_blocks, "WAITING_BYTES", 5_000)
    bundle = Bundle(tmp_path)
    for number in range(61):
        bundle.taker.take(block(0, [line(number)], start=number * 1000), index())
        waiting = bundle.taker._waiting.values()
        assert sum(entry.size for entry in waiting) == bundle.taker._waiting_bytes <= 2_000
        assert (
            sum(len(record) for entry in waiting for record in entry.records) == bundle.taker._waiting_bytes
        )
    assert 0 < bundle.taker.counts.by_outcome()["separated"] < 61
    bundle.taker.finish()
    assert bundle.taker.counts.by_outcome()["separated"] == 61
    assert bundle.taker._waiting_bytes == 0


def fault(offset: int, code: str, piece: int = 0, last: bool = True, raw: bytes = b"x") -> SourceFault:
    return SourceFault(offset, code, piece, last, raw)


def test_a_fault_in_pieces_is_one_reject(tmp_path: Path) -> None:
    first = [fault(5, "RECORD_TOO_LARGE", 0, False, b"one "), fault(5, "RECORD_TOO_LARGE", 1, False, b"two ")]
    blocks = [block(1, [line(1)], first), block(1, [], [fault(5, "RECORD_TOO_LARGE", 2, True, b"three")])]
    bundle = Bundle(tmp_path)
    counts = bundle.take(*blocks)
    assert outcomes(counts) == {("separated", "-"): 1, ("rejected", "RECORD_TOO_LARGE"): 1}
    assert counts.items == {"rejected": 1}
    assert all_sums(counts) == sum_of(*blocks)
    rows = sorted(bundle.rejects(), key=lambda row: row["piece"])
    assert [(row["file_index"], row["offset"], row["piece"], row["last"]) for row in rows] == [
        (1, 5, 0, False),
        (1, 5, 1, False),
        (1, 5, 2, True),
    ]
    assert len({row["reject_id"] for row in rows}) == 1


def test_equal_faults_of_two_files_and_of_two_places_are_rejects_each(tmp_path: Path) -> None:
    faults = [fault(5, "NOT_JSON"), fault(9, "NOT_JSON")]
    bundle = Bundle(tmp_path)
    counts = bundle.take(block(1, [], faults), block(2, [], faults[:1]))
    assert outcomes(counts) == {("rejected", "NOT_JSON"): 3}
    assert len({row["reject_id"] for row in bundle.rejects()}) == 3


def test_a_fault_that_was_read_before_is_a_duplicate(tmp_path: Path) -> None:
    faults = [fault(5, "NOT_JSON"), fault(9, "TRUNCATED_STREAM", raw=b"")]
    verdicts = {(1 + FAULT_FILES, int(fault_positions(faults)[0])): DUPLICATE}
    bundle = Bundle(tmp_path)
    counts = bundle.take(block(1, [], faults), verdicts=verdicts)
    assert outcomes(counts) == {("duplicate", "-"): 1, ("rejected", "TRUNCATED_STREAM"): 1}
    assert [row["reason"] for row in bundle.rejects()] == ["TRUNCATED_STREAM"]
    assert all_sums(counts) == sum_of(block(1, [], faults))


def test_a_record_at_the_place_of_a_fault_is_another(tmp_path: Path) -> None:
    entry = block(1, [line(1)], [fault(0, "NOT_JSON")])
    counts = Bundle(tmp_path).take(entry, verdicts={(1, 0): DUPLICATE})
    assert outcomes(counts) == {("duplicate", "-"): 1, ("rejected", "NOT_JSON"): 1}


def test_drift_misfits_and_drops_reach_the_counts(tmp_path: Path) -> None:
    counts = Bundle(tmp_path).take(block(0, [line(1, new=1, count=10, passcode="p"), line(2, new=2)]))
    assert counts.misfits == {("visits", "data.count"): 1}
    assert counts.dropped == {("visits", "data.passcode"): 1}
    assert [(key.parent, number) for key, number in counts.drift.items()] == [("data", 2)]


def test_two_bundles_add_up_to_one(tmp_path: Path) -> None:
    records = [line(1), b"no json", line(2, OTHER), line(3)]
    one = Bundle(tmp_path / "one").take(block(0, records))
    two = total(
        [
            Bundle(tmp_path / "two").take(block(0, records[:2])),
            Bundle(tmp_path / "three").take(block(0, records[2:], start=2000)),
        ]
    )
    for name in ("records", "sums", "items", "misfits"):
        assert getattr(one, name) == getattr(two, name)
