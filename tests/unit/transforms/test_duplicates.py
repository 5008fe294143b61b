"""Duplicates against a brute-force oracle, in any order of tables, shards and runs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.tables import DIGESTS, FIXED_TABLES
from transforms.duplicates import (
    COLLISION,
    DIGEST_SCHEMA,
    DUPLICATE,
    EARLIER_RUN,
    SHARDS,
    Found,
    VerdictIndex,
    digest_bytes,
    digest_rows,
    digest_table,
    earlier_digests,
    erased_digests,
    find_duplicates,
    shards_of,
)
from transforms.record_digests import Identities

Seen = tuple[int, int, int, int]
"""Number of the event's id, number of its body, file index, offset."""

TODAY = pa.scalar(date(2026, 3, 2), pa.date32())


def digests(numbers: Iterable[int]) -> np.ndarray:
    """One digest a number; they differ in any of their bytes, the first and the last ones too."""
    rows = [bytes([number % 256]) + bytes(14) + bytes([number // 256]) for number in numbers]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def table_of(records: list[Seen], file: int) -> pa.Table:
    identities = Identities(
        digests(record[0] for record in records), digests(record[1] for record in records)
    )
    return digest_table(identities, file, np.array([record[3] for record in records], np.int64))


def tables_of(records: list[Seen]) -> list[pa.Table]:
    files = sorted({record[2] for record in records})
    return [table_of([record for record in records if record[2] == file], file) for file in files]


def verdicts_of(found: Iterable[Found]) -> dict[tuple[int, int], int]:
    rows = [row for part in found for row in part.verdicts.to_pylist()]
    assert len({(row["file"], row["offset"]) for row in rows}) == len(rows)
    return {(row["file"], row["offset"]): row["verdict"] for row in rows}


def fresh_of(found: Iterable[Found]) -> list[tuple[int, int]]:
    return sorted((row["file"], row["offset"]) for part in found for row in part.fresh.to_pylist())


def oracle(records: list[Seen], earlier: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Verdicts, one record after the other in the order of their positions."""
    ids, pairs = {pair[0] for pair in earlier}, set(earlier)
    verdicts = {}
    for identity, body, file, offset in sorted(records, key=lambda record: record[2:]):
        if (identity, body) in pairs:
            verdicts[file, offset] = DUPLICATE
        elif identity in ids:
            verdicts[file, offset] = COLLISION
        ids.add(identity)
        pairs.add((identity, body))
    return verdicts


few = st.integers(0, 4) | st.sampled_from([256, 257, 16, 32])
positions = st.tuples(st.integers(0, 3), st.integers(0, 12))
seen = st.dictionaries(positions, st.tuples(few, few), max_size=16).map(
    lambda found: [(*pair, *position) for position, pair in found.items()]
)


def committed(pairs: Iterable[tuple[int, int]]) -> pa.Table:
    """Rows as they come from the digests table."""
    found = list(pairs)
    kind = DIGEST_SCHEMA.field("id_digest").type
    columns = [
        pa.array([row.tobytes() for row in digests(pair[place] for pair in found)], kind) for place in (0, 1)
    ]
    return pa.table(columns, names=["id_digest", "body_digest"])


@given(records=seen, earlier=st.sets(st.tuples(few, few), max_size=6), randomly=st.randoms())
def test_verdicts_are_those_of_a_reader_who_remembers_everything(
    records: list[Seen], earlier: set[tuple[int, int]], randomly: random.Random
) -> None:
    tables = tables_of(records)
    remembered = sorted(earlier)
    randomly.shuffle(remembered)
    # Earlier digests come in several batches, each of which counts from zero.
    for part in (remembered[::2], remembered[1::2]):
        tables.append(earlier_digests(committed(part)))
    randomly.shuffle(tables)

    shards: dict[int, list[pa.Table]] = {}
    for table in tables:
        for number, part in shards_of(table):
            shards.setdefault(number, []).append(part)
    found = [find_duplicates(parts) for parts in shards.values()]

    expected = oracle(records, earlier)
    assert verdicts_of(found) == expected
    assert fresh_of(found) == sorted(
        record[2:] for record in records if expected.get(record[2:]) in (None, COLLISION)
    )


@given(records=seen, earlier=st.sets(st.tuples(few, few), max_size=4))
def test_reading_the_same_again_finds_nothing_new(records: list[Seen], earlier: set[tuple[int, int]]) -> None:
    tables = [*tables_of(records), earlier_digests(committed(earlier))]
    first = find_duplicates(tables)
    remembered = earlier_digests(digest_rows(first.fresh, TODAY))

    again = find_duplicates([remembered, *tables])

    assert again.fresh.num_rows == 0
    assert verdicts_of([again]) == {record[2:]: DUPLICATE for record in records}


@given(numbers=st.lists(st.integers(0, 2**16 - 1), max_size=40))
def test_shards_part_a_table_by_id(numbers: list[int]) -> None:
    records = [(number, number, 0, offset) for offset, number in enumerate(numbers)]
    parts = list(shards_of(table_of(records, 0)))

    assert len({number for number, _ in parts}) == len(parts)
    assert all(part.num_rows for _, part in parts)
    assert sorted(row["offset"] for _, part in parts for row in part.to_pylist()) == list(range(len(numbers)))
    for number, part in parts:
        assert {row["id_digest"][0] % SHARDS for row in part.to_pylist()} == {number}


def test_shards_keep_each_rows_columns_together() -> None:
    table = table_of([(number, 255 - number, 0, number) for number in range(40)], 7)
    rows = [row for _, part in shards_of(table) for row in part.to_pylist()]
    for row in rows:
        assert (row["id_digest"][0], row["body_digest"][0], row["file"]) == (
            row["offset"],
            255 - row["offset"],
            7,
        )


def test_earlier_digests_stand_before_every_file() -> None:
    earlier = earlier_digests(committed([(1, 1), (2, 2)]))
    assert earlier.schema == DIGEST_SCHEMA
    assert earlier.column("file").to_pylist() == [EARLIER_RUN] * 2
    assert min(EARLIER_RUN, 0) == EARLIER_RUN != 0


def test_rows_of_the_digests_table_say_where_and_when() -> None:
    fresh = table_of([(1, 2, 0, 5), (3, 4, 0, (1 << 40) - 1)], 3)
    rows = digest_rows(fresh, TODAY)
    assert rows.schema == FIXED_TABLES[DIGESTS]
    assert rows.column("position").to_pylist() == [(3 << 40) + 5, (4 << 40) - 1]
    beyond = digest_rows(table_of([(1, 2, 0, (1 << 40) + 5)], 3), TODAY)
    assert beyond.column("position").to_pylist() == [(3 << 40) + 5]
    assert rows.column("seen").to_pylist() == [date(2026, 3, 2)] * 2
    assert [value[0] for value in rows.column("id_digest").to_pylist()] == [1, 3]
    assert [value[0] for value in rows.column("body_digest").to_pylist()] == [2, 4]


@given(
    known=st.dictionaries(positions, st.sampled_from([DUPLICATE, COLLISION]), max_size=12),
    asked=st.lists(st.integers(0, 14), max_size=8),
    randomly=st.randoms(),
)
def test_the_index_answers_for_each_position(
    known: dict[tuple[int, int], int], asked: list[int], randomly: random.Random
) -> None:
    rows = [{"file": file, "offset": offset, "verdict": code} for (file, offset), code in known.items()]
    randomly.shuffle(rows)
    schema = find_duplicates([DIGEST_SCHEMA.empty_table()]).verdicts.schema
    tables = [pa.Table.from_pylist(rows[place::2], schema=schema) for place in (0, 1)]
    index = VerdictIndex(tables)
    for file in (0, 3, 1, 0, 9):
        answer = index.of_block(file, np.array(asked, np.int64))
        assert answer.tolist() == [known.get((file, offset), 0) for offset in asked]


def test_an_index_of_nothing_judges_nothing() -> None:
    assert VerdictIndex([]).of_block(0, np.array([0, 5])).tolist() == [0, 0]
    assert VerdictIndex([]).of_block(0, np.array([], np.int64)).tolist() == []


def test_digests_of_sliced_and_chunked_columns_are_their_own() -> None:
    column = table_of([(number, number, 0, number) for number in range(5)], 0).column("id_digest")
    assert digest_bytes(column.combine_chunks().slice(2, 2))[:, 0].tolist() == [2, 3]
    assert digest_bytes(pa.chunked_array([column.chunk(0).slice(3), column.chunk(0)]))[:, 0].tolist() == [
        *(3, 4),
        *range(5),
    ]
    assert digest_bytes(pa.chunked_array([], column.type)).shape == (0, 16)
    assert digest_bytes(column.slice(5)).shape == (0, 16)


def test_whatever_comes_under_the_id_of_an_erased_event_is_a_duplicate() -> None:
    erased = pa.table({"id_digest": pa.array([bytes(row) for row in digests([1])], pa.binary(16))})
    earlier = pa.table(
        {
            name: pa.array([bytes(row) for row in digests([1])], pa.binary(16))
            for name in ("id_digest", "body_digest")
        }
    )
    mine = table_of([(1, 5, 0, 10), (1, 6, 0, 20), (2, 7, 0, 30)], 0)
    for tables in ([mine, erased_digests(erased)], [erased_digests(erased), earlier_digests(earlier), mine]):
        found = find_duplicates(tables)
        assert verdicts_of([found]) == {(0, 10): DUPLICATE, (0, 20): DUPLICATE}
        assert found.fresh.column("offset").to_pylist() == [30]
