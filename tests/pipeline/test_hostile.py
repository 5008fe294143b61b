"""Hostile input ends as sealed rejects with a reason and a position, and neither crashes nor fills a run."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.pipeline.support import Ledger, ingest, lines_file, opened, reasons, rejects_of
from tests.pipeline.support_events import chat, joined
from tests.pipeline.support_search import STEM, everything_written, leaks
from transforms.splitting import RECORD_CAP
from transforms.store import Store

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20
WORD = (STEM + "aaaa").encode()

DEEP = 1_000_000
JOINED = json.dumps(joined(1, WORD.decode()), separators=(",", ":")).encode()
CHAT = json.dumps(chat("1", WORD.decode()), separators=(",", ":")).encode()


def with_name(value: bytes, event: bytes = JOINED) -> bytes:
    """A known event with another value in a sealed field."""
    return event.replace(b'"' + WORD + b'"', value)


def with_time(value: bytes) -> bytes:
    """A known event with another value in a kept field."""
    return JOINED.replace(b'"event_ts":1772359200001', b'"event_ts":' + value)


REJECTED = {
    "a deep array": (b"[" * DEEP + b"]" * DEEP, "TOO_DEEP"),
    "a deep object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "TOO_DEEP"),
    "a deep array that never ends": (b'{"x":"' + WORD + b'","a":' + b"[" * DEEP, "TOO_DEEP"),
    "depth in a sealed field": (with_name(b"[" * 1000 + b"]" * 1000), "TOO_DEEP"),
    "NaN": (with_time(b"NaN"), "NOT_JSON"),
    "minus Infinity": (with_name(b"-Infinity"), "NOT_JSON"),
    "a hexadecimal number": (with_time(b"0x10"), "NOT_JSON"),
    "a doubled key": (b'{"event":"' + WORD + b'","event":"meeting.started"}', "DUPLICATE_KEY"),
    "a key doubled by an escape": (
        JOINED.replace(b'{"event"', b'{"\\u0065vent":"' + WORD + b'","event"'),
        "DUPLICATE_KEY",
    ),
    "a key doubled in a sealed field": (with_name(b'{"\\u0061":1,"a":2}'), "DUPLICATE_KEY"),
    "a key doubled below an unknown one": (
        JOINED[:-1] + b',"new":[{"b":{"c":1,"\\u0063":2}}]}',
        "DUPLICATE_KEY",
    ),
    "invalid UTF-8 in a sealed field": (with_name(b'"' + WORD + b'\xff"'), "INVALID_UTF8"),
    "invalid UTF-8 in a key": (JOINED[:-1] + b',"' + WORD + b'\xc0\x80":1}', "INVALID_UTF8"),
    "a surrogate in UTF-8": (with_name(b'"' + WORD + b'\xed\xa0\x80"'), "INVALID_UTF8"),
    "a lone surrogate": (with_name(b'"' + WORD + b'\\ud800"'), "NOT_JSON"),
    "a lone surrogate in a key": (JOINED[:-1] + b',"' + WORD + b'\\udc00":1}', "NOT_JSON"),
    "a control character": (with_name(b'"' + WORD + b'\x01"'), "NOT_JSON"),
    "NUL": (b"\0" + JOINED, "NOT_JSON"),
    "NUL inside": (with_name(b'"' + WORD + b'\0"'), "NOT_JSON"),
    "a byte order mark inside": (b"\xef\xbb\xbf" + JOINED, "NOT_JSON"),
    "two documents": (JOINED + JOINED, "NOT_JSON"),
    "a torn document": (JOINED[:-3], "NOT_JSON"),
    "an array": (b'["' + WORD + b'"]', "NOT_AN_EVENT"),
    "a number": (b"7391428600000", "NOT_AN_EVENT"),
    "no event": (b'{"' + WORD + b'":"' + WORD + b'"}', "UNKNOWN_TYPE"),
    "an unknown type": (b'{"event":"' + WORD + b'"}', "UNKNOWN_TYPE"),
    "a type that is a number": (b'{"event":1e400,"x":"' + WORD + b'"}', "UNKNOWN_TYPE"),
    "a type that is an object": (b'{"event":{"' + WORD + b'":1},"event_ts":1}', "UNKNOWN_TYPE"),
    "a type too long to be one": (b'{"event":"' + WORD * 1000 + b'"}', "UNKNOWN_TYPE"),
    "digits without end": (b'{"msg_type":' + b"7" * 100_000 + b"}", "UNKNOWN_TYPE"),
}

TAKEN = {
    "nothing out of the way": JOINED,
    "a huge integer": with_time(b"9" * 5000),
    "beyond 64 bits": with_time(b"18446744073709551616"),
    "a huge exponent": with_time(b"1e400"),
    "minus a huge exponent": with_time(b"-1e400"),
    "a tiny exponent": with_time(b"1e-400"),
    "minus zero": with_time(b"-0"),
    "a huge number where text stands": with_name(b"1e400", CHAT),
    "digits without end where text stands": with_name(b"7" * 20_000),
    "NUL as an escape": with_name(b'"' + WORD + b'\\u0000"'),
    "a pair of surrogates": with_name(b'"' + WORD + b'\\ud83d\\ude00"'),
    "an empty key": JOINED[:-1] + b',"":"' + WORD + b'"}',
    "a key of a megabyte": JOINED[:-1] + b',"' + WORD * (MEGABYTE // len(WORD)) + b'":1}',
    "space around": b" \t" + with_name(b'"space"') + b" \r",
    "depth that is allowed": with_name(b"[" * 20 + b"]" * 20),
}


@dataclass
class Hostile:
    """A run over all hostile lines, and what the lines are."""

    ledger: Ledger
    store: Path
    lines: list[bytes]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    # The first line settles that the file is one of lines.
    lines = list(TAKEN.values()) + [line for line, _ in REJECTED.values()]
    ledger = ingest(lines_file(folder / "in.jsonl", lines), folder / "S", keys)
    return Hostile(ledger, folder / "S", lines)


def test_every_hostile_line_has_one_outcome(hostile: Hostile) -> None:
    unknown = sum(reason == "UNKNOWN_TYPE" for _, reason in REJECTED.values())
    assert hostile.ledger["outcomes"] == {
        "rejected": len(REJECTED) - unknown,
        "unknown": unknown,
        "separated": len(TAKEN),
    }


def test_what_is_refused_is_sealed_whole_with_its_reason_and_position(hostile: Hostile, keys: Path) -> None:
    sealed = {entry.raw: (entry.reason, entry.offset) for entry in rejects_of(hostile.store, keys)}
    offsets, at = {}, 0
    for line in hostile.lines:
        offsets[line] = at
        at += len(line) + 1
    wrong = {
        name: sealed.get(line)
        for name, (line, reason) in REJECTED.items()
        if sealed.get(line) != (reason, offsets[line])
    }
    assert wrong == {}


def test_nothing_of_it_is_in_clear(hostile: Hostile) -> None:
    assert leaks(everything_written(hostile.store)) == []


def test_a_value_that_no_column_holds_is_sealed(hostile: Hostile, keys: Path) -> None:
    parts = opened(hostile.store, keys).parts_of_kind("unclassified")
    misfits = {raw for path, raw in parts if path == "event_ts"}
    assert {b"9" * 5000, b"18446744073709551616", b"1e400", b"-1e400", b"1e-400"} <= misfits
    times = Store.open(hostile.store).read_table("telemetry/zoom_participant", ["event_time"])
    assert times.column(0).null_count == 6


# --- files --------------------------------------------------------------------------------------------------


def packed_files(folder: Path) -> Path:
    folder.mkdir()
    line = JOINED + b"\n"
    packed = gzip.compress(line * 100, mtime=0)
    framed = zstandard.compress(line * 100)
    zeros = bytes(100 * MEGABYTE)
    (folder / "01-truncated.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "02-no-checksum.gz").write_bytes(packed[:-8])
    (folder / "03-garbage-behind.gz").write_bytes(packed + b"garbage " + WORD)
    (folder / "04-damaged.gz").write_bytes(packed[:-8] + bytes(4) + packed[-4:])
    (folder / "05-truncated.zst").write_bytes(framed[: len(framed) - 5])
    (folder / "06-bomb.gz").write_bytes(gzip.compress(zeros, mtime=0))
    (folder / "07-bomb.zst").write_bytes(zstandard.compress(zeros))
    (folder / "08-bomb-in-a-bomb.gz").write_bytes(gzip.compress(gzip.compress(zeros, mtime=0), mtime=0))
    (folder / "09-mark.jsonl").write_bytes(b"\xef\xbb\xbf" + line)
    (folder / "10-windows.jsonl").write_bytes(JOINED.replace(b"1772359200001", b"1772359200002") + b"\r\n")
    (folder / "11-utf16.jsonl").write_bytes(line.decode().encode("utf-16"))
    (folder / "12-nothing.gz").write_bytes(b"")
    (folder / "13-no-stream.gz").write_bytes(b"\x1f\x8b\x08")
    return folder


@pytest.mark.slow
def test_broken_and_exploding_files_end_as_rejects_of_their_file(tmp_path: Path, keys: Path) -> None:
    ran = measured(packed_files(tmp_path / "in"), tmp_path / "S", keys)
    found: dict[int, set[str]] = {}
    for entry in rejects_of(tmp_path / "S", keys):
        found.setdefault(entry.file + 1, set()).add(entry.reason)
    assert {1, 2, 5, 13} <= {file for file, codes in found.items() if "TRUNCATED_STREAM" in codes}
    assert "TRAILING_GARBAGE" in found[3]
    assert "CORRUPT_STREAM" in found[4]
    assert all("DECOMPRESSION_LIMIT" in found[file] for file in (6, 7))
    assert found[9] == {"BYTE_ORDER_MARK"}
    assert 10 not in found
    assert found[11] <= {"INVALID_UTF8", "NOT_JSON"}
    assert 12 not in found
    assert ran.ledger["outcomes"]["separated"] == 2
    assert ran.peak < 700 * MEGABYTE
    assert leaks([*everything_written(tmp_path / "S"), ("what was said", ran.said)]) == []


# --- too much of something ----------------------------------------------------------------------------------


@dataclass
class Measured:
    """What a run in a process of its own did, said and needed."""

    ledger: Ledger
    peak: int
    said: bytes


def measured(source: Path, store: Path, keys: Path) -> Measured:
    command = [sys.executable, "-m", "tests.pipeline.measured_child", str(source), str(store), str(keys)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    result: dict[str, Any] = json.loads(ran.stdout)
    return Measured(result["ledger"], result["peak"], ran.stderr)


@pytest.mark.slow
def test_a_line_of_200_megabytes_is_sealed_in_pieces_and_takes_no_more_memory_than_one_of_the_cap(
    tmp_path: Path, keys: Path
) -> None:
    length = 200 * MEGABYTE
    with open(tmp_path / "in.jsonl", "wb") as file:
        file.write(JOINED + b'\n{"event":"')
        for _ in range(length // MEGABYTE):
            file.write((WORD * (MEGABYTE // len(WORD) + 1))[:MEGABYTE])
        file.write(b'"}\n' + JOINED.replace(b"1772359200001", b"1772359200002") + b"\n")
    ran = measured(tmp_path / "in.jsonl", tmp_path / "S", keys)
    assert ran.ledger["outcomes"] == {"separated": 2, "rejected": 1}
    (reject,) = rejects_of(tmp_path / "S", keys)
    assert (reject.reason, reject.offset) == ("RECORD_TOO_LARGE", len(JOINED) + 1)
    assert len(reject.raw) == length + len(b'{"event":"') + len(b'"}')
    assert ran.peak < 700 * MEGABYTE
    assert leaks([("what was said", ran.said)]) == []


@pytest.mark.slow
def test_a_hundred_thousand_event_types_are_sealed_as_unknown(tmp_path: Path, keys: Path) -> None:
    lines = [b'{"event":"%s.type_%d","x":%d}' % (WORD, number, number) for number in range(100_000)]
    ran = measured(lines_file(tmp_path / "in.jsonl", lines), tmp_path / "S", keys)
    assert ran.ledger["outcomes"] == {"unknown": 100_000}
    assert len(json.dumps(ran.ledger)) < 10_000
    assert ran.peak < 800 * MEGABYTE
    assert leaks([*everything_written(tmp_path / "S"), ("what was said", ran.said)]) == []


def unknown_fields(first: int, count: int) -> bytes:
    return b",".join(
        b'"%s_%d":{"%s":%d}' % (WORD, number, WORD, number) for number in range(first, first + count)
    )


@pytest.mark.slow
def test_a_hundred_thousand_unknown_fields_are_sealed(tmp_path: Path, keys: Path) -> None:
    events = [with_time(b"%d" % (1772359200000 + number)) for number in range(1000)]
    lines = [
        event[:-1] + b"," + unknown_fields(100 * number, 100) + b"}" for number, event in enumerate(events)
    ]
    ran = measured(lines_file(tmp_path / "in.jsonl", lines), tmp_path / "S", keys)
    assert ran.ledger["outcomes"] == {"separated": 1000}
    assert sum(row["values"] for row in ran.ledger["drift"]) == 100_000
    assert len(opened(tmp_path / "S", keys).parts_of_kind("unclassified")) == 100_000
    assert ran.peak < 800 * MEGABYTE
    assert leaks([*everything_written(tmp_path / "S"), ("what was said", ran.said)]) == []


def test_ten_thousand_unknown_fields_of_one_event_are_sealed(tmp_path: Path, keys: Path) -> None:
    lines = [JOINED[:-1] + b"," + unknown_fields(0, 10_000) + b"}"]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", lines), tmp_path / "S", keys)
    assert ledger["outcomes"] == {"separated": 1}
    assert len(opened(tmp_path / "S", keys).parts_of_kind("unclassified")) == 10_000


def test_a_record_of_just_the_cap_is_a_record_and_one_byte_more_is_none(tmp_path: Path, keys: Path) -> None:
    cap = 64 << 10
    filler = b"x" * (cap - len(with_name(b'""')))
    lines = [with_name(b'"' + filler + b'"'), with_name(b'"' + filler + b'y"')]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", lines), tmp_path / "S", keys, record_cap=cap)
    assert len(lines[0]) == cap < RECORD_CAP
    assert reasons(ledger) == {"RECORD_TOO_LARGE": 1}
    assert ledger["outcomes"] == {"separated": 1, "rejected": 1}
