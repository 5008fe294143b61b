"""Tasks hold every data key once, in the order in which its ciphertext was committed."""

from __future__ import annotations

from collections import Counter

import pytest

from transforms.reprocess_tasks import _Found, _grouped

A, B, C, D = (bytes((number,)) * 16 for number in range(4))
FILES = ["1", "2", "3"]


def grouped(files: dict[bytes, list[str]], rows: dict[bytes, int], most: int) -> list[tuple[bytes, ...]]:
    blobs = _Found(files, Counter(), {})
    return list(_grouped([A, B, C, D], blobs, Counter(rows), FILES, most))


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, [(D,), (B, C), (A,)]),
        (2, [(D, B, C), (A,)]),
        (100, [(D, B, C, A)]),
    ],
)
def test_keys_go_by_the_last_file_of_their_ciphertext(most: int, expected: list[tuple[bytes, ...]]) -> None:
    """A key whose ciphertext is nowhere is in the first task, which tells of it."""
    files = {A: ["1", "3"], B: ["2"], C: ["2"]}
    assert grouped(files, dict.fromkeys((A, B, C, D), 1), most) == expected


def test_one_file_is_never_read_for_two_tasks_that_need_not_be() -> None:
    files = {key: ["1"] for key in (A, B, C, D)}
    assert grouped(files, dict.fromkeys(files, 50), 10) == [(A, B, C, D)]


def test_nothing_chosen_is_no_task() -> None:
    assert list(_grouped([], _Found({}, Counter(), {}), Counter(), FILES, 1)) == []
