from __future__ import annotations

import pytest

from schemas.errors import PromiseBroken
from tests.unit.validation.judging import PlainGate
from validation import release_suite
from validation.gate import Gate
from validation.release_suite import WrittenRelease, check_written, released_suite, released_table

BAD_WORDS = [(column, word) for column, words in released_table().columns.items() for word in words[1:]]


def written(*findings: dict[str, str]) -> WrittenRelease:
    found = WrittenRelease()
    for each in findings:
        found.add(each)
    return found


def test_what_is_as_decided_passes_the_real_gate() -> None:
    assert check_written(written({}, {}), 2, Gate()) == released_suite().hash


def test_nothing_written_passes_only_if_nothing_was_to_be() -> None:
    assert check_written(written(), 0) == released_suite().hash
    with pytest.raises(PromiseBroken, match="RELEASE_NOT_AS_DECIDED"):
        check_written(written(), 1)


@pytest.mark.parametrize(("column", "word"), BAD_WORDS)
def test_one_bad_row_among_many_stops_the_commit(column: str, word: str) -> None:
    with pytest.raises(PromiseBroken, match=f"RELEASED_{column.upper()}"):
        check_written(written({}, {}, {column: word}), 3, PlainGate())


def test_every_bad_word_fails_in_the_real_gate() -> None:
    with pytest.raises(PromiseBroken, match=f"{len(BAD_WORDS)} written rows fail"):
        check_written(
            written({}, *({column: word} for column, word in BAD_WORDS)), len(BAD_WORDS) + 1, Gate()
        )


@pytest.mark.parametrize("rows", [1, 3])
def test_a_row_too_many_or_too_few_stops_the_commit(rows: int) -> None:
    with pytest.raises(PromiseBroken, match="RELEASE_NOT_AS_DECIDED"):
        check_written(written({}, {}), rows)


def test_another_suite_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_suite, "RELEASE_SUITE_HASH", "0" * 64)
    with pytest.raises(PromiseBroken, match="SUITE_NOT_PINNED"):
        released_suite()
