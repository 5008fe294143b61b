"""Files are found in a fixed order and read whole: every byte once, whatever the ranges and the damage."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zstandard
from apache_beam.io.filesystems import FileSystems
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.sources import (
    Compression,
    InputFile,
    Layout,
    ReadLimits,
    ReadTask,
    SourceFault,
    list_inputs,
    plan_reads,
    read_blocks,
)
from transforms.splitting import (
    BYTE_ORDER_MARK_FOUND,
    CORRUPT_STREAM,
    DECOMPRESSION_LIMIT,
    PIECE_BYTES,
    RECORD_TOO_LARGE,
    TRAILING_GARBAGE,
    TRUNCATED_STREAM,
)

MIB = 1 << 20
EVENTS = [b'{"n":%d,"text":"%s"}' % (n, b"x" * (n % 7)) for n in range(30)]
LINES = b"\n".join(EVENTS) + b"\n"


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(
    tasks: Iterable[ReadTask],
    *,
    record_cap: int = 16 * MIB,
    block_bytes: int = 4 * MIB,
    limits: ReadLimits | None = None,
) -> tuple[list[tuple[int, bytes]], list[SourceFault]]:
    records: list[tuple[int, bytes]] = []
    faults: list[SourceFault] = []
    for task in tasks:
        for block in read_blocks(task, record_cap=record_cap, block_bytes=block_bytes, limits=limits):
            records += zip(block.offsets.tolist(), block.records, strict=True)
            faults += block.faults
    return records, faults


def read_file(path: Path, *, block_bytes: int = 4 * MIB) -> tuple[list[bytes], list[SourceFault]]:
    records, faults = read(plan_reads(list_inputs([str(path)])), block_bytes=block_bytes)
    return [record for _, record in records], faults


def test_files_folders_and_patterns_are_listed_once_in_the_order_of_their_paths(tmp_path: Path) -> None:
    b = write(tmp_path, "in/b.jsonl", LINES)
    a = write(tmp_path, "in/deep/a.json.gz", gzip.compress(b"[1]"))
    hidden = write(tmp_path, "in/.hidden", b"")
    write(tmp_path, "other/c.jsonl", b"{}")
    folder = tmp_path / "in"

    files = list_inputs([str(b), str(folder), str(folder / "**" / "*.gz")])

    assert [file.path for file in files] == sorted(map(str, (a, b, hidden)))
    assert [file.index for file in files] == [0, 1, 2]
    found = {file.path: file for file in files}
    assert found[str(a)].compression is Compression.GZIP
    assert found[str(a)].layout is Layout.DOCUMENTS
    assert found[str(b)].size == len(LINES)


def test_a_file_whose_name_looks_like_a_pattern_is_taken_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "a[1].json", b"{}")

    assert [file.path for file in list_inputs([str(path)])] == [str(path)]


def test_a_named_pipe_in_a_folder_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, "a.json", b"{}")

    assert len(list_inputs([str(tmp_path)])) == 1


@pytest.mark.parametrize(
    ("patterns", "code"),
    [
        ([], "INPUT_MISSING"),
        (["/nonexistent/*.json"], "INPUT_NOT_FOUND"),
        (["unknown-scheme://bucket/a"], "INPUT_FILESYSTEM"),
    ],
)
def test_input_that_is_not_there_is_a_configuration_error(patterns: list[str], code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        list_inputs(patterns)

    assert caught.value.code == code


def test_a_file_that_vanished_is_an_infrastructure_fault() -> None:
    gone = InputFile(0, "/nonexistent/a.json", 3, Compression.NONE, Layout.LINES)

    with pytest.raises(InfrastructureFault, match="INPUT_UNREADABLE"):
        list(read_blocks(ReadTask(gone, 0, 3)))


class _OddError(Exception):
    """What a client of an object store may raise: none of Python's own errors."""


def test_errors_of_object_stores_are_infrastructure_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise _OddError("said @@ by the client")

    monkeypatch.setattr(FileSystems, "open", refuse)
    elsewhere = InputFile(0, "gs://bucket/a.json", 3, Compression.NONE, Layout.LINES)
    with pytest.raises(InfrastructureFault, match="INPUT_UNREADABLE") as caught:
        list(read_blocks(ReadTask(elsewhere, 0, 3)))
    assert "@@" not in str(caught.value)

    here = InputFile(0, "/a.json", 3, Compression.NONE, Layout.LINES)
    with pytest.raises(_OddError):
        list(read_blocks(ReadTask(here, 0, 3)))


def test_a_file_that_shrank_is_an_infrastructure_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", LINES)
    tasks = plan_reads(list_inputs([str(path)]))
    path.write_bytes(LINES[:10])

    with pytest.raises(InfrastructureFault, match="INPUT_CHANGED"):
        read(tasks)


def test_what_is_appended_after_listing_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", LINES)
    tasks = plan_reads(list_inputs([str(path)]))
    path.write_bytes(LINES + b'{"late":1}\n')

    assert [record for _, record in read(tasks)[0]] == EVENTS


def test_only_plain_lines_are_cut_by_range() -> None:
    def file(compression: Compression, layout: Layout, size: int = 100) -> InputFile:
        return InputFile(0, "a", size, compression, layout)

    plan = plan_reads([file(Compression.NONE, Layout.LINES)], split_bytes=40)
    assert [(task.start, task.end) for task in plan] == [(0, 40), (40, 80), (80, 100)]
    for other in (file(Compression.GZIP, Layout.LINES), file(Compression.NONE, Layout.DOCUMENTS)):
        assert [(task.start, task.end) for task in plan_reads([other], split_bytes=40)] == [(0, 100)]
    assert plan_reads([file(Compression.NONE, Layout.LINES, 0)]) == []


def test_a_task_is_small_when_pickled() -> None:
    task = ReadTask(InputFile(7, "gs://bucket/events.jsonl", 1, Compression.NONE, Layout.LINES), 0, 1)

    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301 - our own bytes
    assert len(pickle.dumps(task)) < 500


@settings(max_examples=300)
@given(
    data=st.lists(st.sampled_from([b"\n", b"\r", b" ", b"{}", b"abc", b"\xef\xbb\xbf", b"\x00"])).map(
        b"".join
    ),
    split_bytes=st.integers(1, 30),
    block_bytes=st.integers(1, 30),
    cap=st.sampled_from([2, 8, MIB]),
)
def test_any_ranges_give_the_records_of_one_read(
    data: bytes, split_bytes: int, block_bytes: int, cap: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "a.json", data)
        file = InputFile(0, str(path), len(data), Compression.NONE, Layout.LINES)
        cut = read(plan_reads([file], split_bytes=split_bytes), block_bytes=block_bytes, record_cap=cap)

        assert cut == read(plan_reads([file]), record_cap=cap)
        assert len({offset for offset, _ in cut[0]}) == len(cut[0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b" \r\n\t\n", []),
        (b"{}\r\n\r\n[]\r\n", [b"{}", b"[]"]),
        (b"{}", [b"{}"]),
        (b'{"a":1}\x00\n', [b'{"a":1}\x00']),
        (b'[{"a":1},\r\n 2]\n', [b'{"a":1}', b"2"]),
        (b'{\n"a": 1\n}\n{\n"a": 2\n}', [b'{\n"a": 1\n}', b'{\n"a": 2\n}']),
    ],
)
@pytest.mark.parametrize("stored_as", list(Compression))
def test_every_layout_is_read_from_every_compression(
    tmp_path: Path, data: bytes, expected: list[bytes], stored_as: Compression
) -> None:
    pack: dict[Compression, Callable[[bytes], bytes]] = {
        Compression.NONE: bytes,
        Compression.GZIP: gzip.compress,
        Compression.ZSTD: zstandard.ZstdCompressor().compress,
    }

    assert read_file(write(tmp_path, "a", pack[stored_as](data))) == (expected, [])


@pytest.mark.parametrize("data", [LINES, b"[1,2]", b"", b'{\n"a":1}'])
@pytest.mark.parametrize("block_bytes", [1, 4 * MIB])
def test_a_byte_order_mark_is_a_fault_and_costs_no_record(
    tmp_path: Path, data: bytes, block_bytes: int
) -> None:
    marked = read_file(write(tmp_path, "a", b"\xef\xbb\xbf" + data), block_bytes=block_bytes)

    assert marked[0] == read_file(write(tmp_path, "b", data))[0]
    assert [(fault.offset, fault.code, fault.raw) for fault in marked[1]] == [
        (0, BYTE_ORDER_MARK_FOUND, b"\xef\xbb\xbf")
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_end_as_records_that_no_decoder_takes(tmp_path: Path, encoding: str) -> None:
    records, faults = read_file(write(tmp_path, "a", LINES.decode().encode(encoding)))

    assert records
    for raw in [*records, *(fault.raw for fault in faults)]:
        with pytest.raises(ValueError, match=r".*"):
            json.loads(raw.decode("utf-8"))


@pytest.mark.parametrize("array", [False, True])
def test_a_gzip_cut_at_any_byte_gives_whole_records_and_the_rest_as_a_fault(
    tmp_path: Path, array: bool
) -> None:
    content = b"[" + b",".join(EVENTS) + b"]" if array else LINES
    whole = gzip.compress(content)

    for length in range(2, len(whole)):
        path = write(tmp_path, "a.gz", whole[:length])
        layout = Layout.DOCUMENTS if array else Layout.LINES
        file = InputFile(0, str(path), length, Compression.GZIP, layout)
        records, faults = read(plan_reads([file]))
        assert [record for _, record in records] == EVENTS[: len(records)]
        assert [fault.code for fault in faults] == [TRUNCATED_STREAM]
        assert content[faults[0].offset :].startswith(faults[0].raw)
        assert faults[0].position == length


def test_a_damaged_zstd_frame_gives_what_stands_before_and_the_stored_rest(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(LINES)
    second = bytearray(frame)
    second[10] = 0xFF
    second[6:9] = b"\xff\xff\xff"
    path = write(tmp_path, "a.zst", frame + bytes(second))

    records, faults = read_file(path)

    assert records == EVENTS
    assert {fault.code for fault in faults} <= {CORRUPT_STREAM, TRUNCATED_STREAM}
    assert b"".join(fault.raw for fault in faults if fault.compressed) in bytes(second)


def test_an_unfinished_record_before_a_limit_is_a_fault_and_so_is_the_rest(tmp_path: Path) -> None:
    stored = gzip.compress(b'{"a":1}\n' + b"0" * (100 * MIB))
    path = write(tmp_path, "bomb.gz", stored)

    records, faults = read_file(path)

    assert records == [b'{"a":1}']
    assert {fault.code for fault in faults} == {RECORD_TOO_LARGE, DECOMPRESSION_LIMIT}
    assert faults[-1].compressed
    assert stored.endswith(faults[-1].raw)
    assert len({(fault.offset, fault.piece) for fault in faults}) == len(faults)


def test_garbage_behind_a_gzip_member_leaves_its_last_record_whole(tmp_path: Path) -> None:
    records, faults = read_file(write(tmp_path, "a.gz", gzip.compress(b'{"a":1}') + b"tail"))

    assert records == [b'{"a":1}']
    assert [(fault.offset, fault.code, fault.raw) for fault in faults] == [(7, TRAILING_GARBAGE, b"tail")]


def test_a_large_compressed_rest_comes_in_pieces(tmp_path: Path) -> None:
    garbage = os.urandom(PIECE_BYTES * 2 + 5)

    _, faults = read_file(write(tmp_path, "a.gz", gzip.compress(b"1\n") + garbage))

    assert [len(fault.raw) for fault in faults] == [PIECE_BYTES, PIECE_BYTES, 5]
    assert [(fault.piece, fault.last) for fault in faults] == [(0, False), (1, False), (2, True)]
    assert b"".join(fault.raw for fault in faults) == garbage


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"", b"[", b'[{"a":"'])
def test_a_record_of_200_megabytes_is_passed_on_in_pieces_in_bounded_memory(
    tmp_path: Path, start: bytes
) -> None:
    path = tmp_path / "long.json"
    with path.open("wb") as handle:
        handle.write(start)
        for _ in range(200):
            handle.write(b"x" * MIB)
        handle.write(b"\n{}\n")
    size = 0
    tracemalloc.start()

    for task in plan_reads(list_inputs([str(path)])):
        for block in read_blocks(task):
            size += sum(len(fault.raw) for fault in block.faults if fault.code == RECORD_TOO_LARGE)
            assert all(len(fault.raw) <= PIECE_BYTES for fault in block.faults)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size >= 200 * MIB
    assert peak < 80 * MIB


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_of(copies: int) -> int:
        path = write(tmp_path, f"{copies}.json", LINES * copies)
        tracemalloc.start()
        for task in plan_reads(list_inputs([str(path)])):
            for _ in read_blocks(task):
                pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_of(100_000) < 1.2 * peak_of(25_000)


def test_the_parsing_corpus_is_read_without_losing_a_file(shared_folder: Path) -> None:
    blank = {"n_single_space.json", "n_structure_no_data.json"}
    nothing_in_it = {
        "y_array_empty.json",
        "y_array_arraysWithSpaces.json",
        "y_structure_whitespace_array.json",
    }
    for path in sorted((shared_folder / "corpora" / "json_parsing").glob("[ny]_*.json")):
        records, faults = read_file(path)

        if path.name.startswith("n_"):
            assert bool(records or faults) == (path.name not in blank), path.name
            continue
        assert not faults, path.name
        value = json.loads(path.read_bytes())
        expected = value if isinstance(value, list) else [value]
        assert [json.loads(record) for record in records] == expected, path.name
        assert bool(records) or path.name in nothing_in_it
