"""Ids that a process keeps between its two passes over the input: right or not at all, and bounded."""

from __future__ import annotations

import numpy as np

from transforms.known_ids import KnownIds
from transforms.splitting import Block

RUN, OTHER = "run-1", "run-2"
SIZE = 16


def block(file: int = 0, start: int = 0, number: int = 3) -> Block:
    offsets = np.arange(start, start + number * 10, 10, dtype=np.int64)
    return Block(file, offsets, [b"{}"] * number, [])


def ids(fill: int, number: int = 3) -> np.ndarray:
    return np.full((number, SIZE), fill, dtype=np.uint8)


def test_ids_of_a_block_are_given_out_once() -> None:
    known = KnownIds()
    known.keep(RUN, block(), ids(1))
    found = known.take(RUN, block())
    assert found is not None
    assert (found == ids(1)).all()
    assert known.take(RUN, block()) is None


def test_ids_belong_to_one_run_file_and_stretch_of_it() -> None:
    known = KnownIds()
    known.keep(RUN, block(), ids(1))
    for run, other in (
        (OTHER, block()),
        (RUN, block(file=1)),
        (RUN, block(start=10)),
        (RUN, block(number=2)),
    ):
        assert known.take(run, other) is None
    assert known.take(RUN, block()) is not None


def test_another_run_begins_with_nothing() -> None:
    known = KnownIds()
    known.keep(RUN, block(), ids(1))
    known.keep(OTHER, block(start=100), ids(2))
    assert known.take(RUN, block()) is None
    assert known.take(OTHER, block()) is None
    assert known.take(OTHER, block(start=100)) is not None


def test_a_block_that_is_digested_again_counts_once() -> None:
    known = KnownIds(kept_bytes=2 * 3 * SIZE)
    for fill in range(5):
        known.keep(RUN, block(), ids(fill))
    known.keep(RUN, block(start=100), ids(9))
    found = known.take(RUN, block())
    assert found is not None
    assert (found == 4).all()
    assert known.take(RUN, block(start=100)) is not None


def test_what_finds_no_room_is_not_known_and_what_is_taken_makes_room() -> None:
    known = KnownIds(kept_bytes=3 * SIZE)
    known.keep(RUN, block(), ids(1))
    known.keep(RUN, block(start=100), ids(2))
    assert known.take(RUN, block(start=100)) is None
    known.take(RUN, block())
    known.keep(RUN, block(start=100), ids(2))
    assert known.take(RUN, block(start=100)) is not None
