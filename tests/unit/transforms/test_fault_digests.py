"""What is no record is told apart by where it stands and what it holds, all of its pieces together."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transforms.separator_samples import digester
from transforms.fault_digests import FaultDigests, fault_name, fault_positions
from transforms.splitting import SourceFault

PIECES = [
    SourceFault(5, "RECORD_TOO_LARGE", 0, False, b"one "),
    SourceFault(5, "RECORD_TOO_LARGE", 1, False, b"two "),
    SourceFault(5, "RECORD_TOO_LARGE", 2, True, b"three"),
]
WHOLE = SourceFault(5, "NOT_JSON", 0, True, b"x")


def ids(faults: list[SourceFault], path: str = "a.jsonl", cut: int | None = None) -> list[bytes]:
    """Identity digests of faults that are read in one or two blocks."""
    digests = FaultDigests(path, digester())
    parts = [faults] if cut is None else [faults[:cut], faults[cut:]]
    return [row.tobytes() for part in parts for found, _ in digests.add(part) for row in found.ids]


def test_pieces_are_digested_when_the_last_has_come() -> None:
    digests = FaultDigests("a.jsonl", digester())
    assert digests.add(PIECES[:2]) == []
    ((found, positions),) = digests.add(PIECES[2:])
    assert len(found.ids) == 3
    assert positions.tolist() == fault_positions(PIECES).tolist()


def test_blocks_change_nothing() -> None:
    whole = ids([*PIECES, WHOLE])
    assert len(set(whole)) == 4
    assert all(ids([*PIECES, WHOLE], cut=cut) == whole for cut in range(5))


def test_another_last_piece_makes_another_fault_of_all_pieces() -> None:
    changed = [*PIECES[:2], replace(PIECES[2], raw=b"four")]
    assert not set(ids(PIECES)) & set(ids(changed))


def test_a_fault_is_the_same_at_its_own_place_only() -> None:
    found = [
        ids([WHOLE]),
        ids([WHOLE], "b.jsonl"),
        ids([replace(WHOLE, offset=6)]),
        ids([replace(WHOLE, code="TRUNCATED_STREAM")]),
        ids([replace(WHOLE, compressed=True)]),
        ids([replace(WHOLE, raw=b"y")]),
    ]
    assert len({entry[0] for entry in found}) == len(found)
    assert ids([WHOLE]) == found[0]


_faults = st.builds(
    SourceFault,
    st.integers(0, 2**45),
    st.just("NOT_JSON"),
    st.integers(0, 2**16 - 1),
    st.booleans(),
    st.just(b""),
    st.booleans(),
)


@given(one=_faults, two=_faults)
def test_no_two_pieces_share_a_position(one: SourceFault, two: SourceFault) -> None:
    places = fault_positions([one, two]).tolist()
    same = (one.offset, one.piece, one.compressed) == (two.offset, two.piece, two.compressed)
    assert (places[0] == places[1]) is same
    assert min(places) >= 0


def test_pieces_share_their_faults_name_whatever_the_place_is_called() -> None:
    assert len({fault_name("a", piece) for piece in PIECES}) == 1
    assert fault_name("a1", WHOLE) != fault_name("a", replace(WHOLE, offset=15))
    assert fault_name("\udcff", WHOLE) != fault_name("\udcfe", WHOLE)
