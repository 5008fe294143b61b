"""Identities tell events apart; position sums show every loss and every doubling."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.record_digests import RecordDigester, RecordSum

DIGESTER = RecordDigester(bytes(range(32)))
OTHER_STORE = RecordDigester(bytes(32))

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
positions = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**50)), max_size=12)


def summed(found: list[tuple[int, int]], digester: RecordDigester = DIGESTER) -> RecordSum:
    files = np.array([file for file, _ in found], np.int64)
    return digester.position_sum(files, np.array([offset for _, offset in found], np.int64))


def ids(*records: bytes) -> list[bytes]:
    return [row.tobytes() for row in DIGESTER.identities(records).ids]


def bodies(*records: bytes) -> list[bytes]:
    return [row.tobytes() for row in DIGESTER.identities(records).bodies]


# Position sums.


@given(found=positions, randomly=st.randoms(), cut=st.integers(0, 12))
def test_a_sum_depends_on_no_order_and_no_grouping(
    found: list[tuple[int, int]], randomly: random.Random, cut: int
) -> None:
    mixed = list(found)
    randomly.shuffle(mixed)
    assert summed(mixed[:cut]) + summed(mixed[cut:]) == summed(found)
    assert summed(mixed[cut:]) + summed(mixed[:cut]) == summed(found)
    assert summed(found).count == len(found)


@given(found=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 2**50)), min_size=2, max_size=9))
def test_a_loss_and_a_doubling_do_not_cancel_out(found: set[tuple[int, int]]) -> None:
    read = sorted(found)
    assert summed([*read[1:], read[1]]).as_text() != summed(read).as_text()
    assert summed(read[1:]).as_text() != summed(read).as_text()


def test_two_losses_and_two_doublings_of_even_steps_do_not_cancel_out() -> None:
    # Offsets 10 and 40 lost, 20 and 30 doubled: a plain sum of offsets would not see it.
    assert summed([(0, 20), (0, 20), (0, 30), (0, 30)]) != summed([(0, 10), (0, 20), (0, 30), (0, 40)])


def test_the_same_offset_of_another_file_is_another_record() -> None:
    assert summed([(0, 7)]) != summed([(1, 7)])
    assert summed([(0, 1)]) != summed([(1, 0)])


def test_one_file_may_be_given_once_for_all() -> None:
    offsets = np.array([3, 5], np.int64)
    assert DIGESTER.position_sum(4, offsets) == summed([(4, 3), (4, 5)])


def test_sums_are_keyed() -> None:
    assert summed([(0, 1)]) != summed([(0, 1)], OTHER_STORE)


def test_a_sum_wraps_around_in_each_half_and_is_written_at_full_length() -> None:
    top = RecordSum(1, 2**64 - 1, 2**64 - 1)
    assert top + RecordSum(2, 1, 3) == RecordSum(3, 0, 2)
    assert (top + RecordSum(2, 1, 3)).as_text() == "0" * 16 + "0" * 15 + "2"
    assert RecordSum(1, 2**64 - 1, 1).as_text() == "f" * 16 + "0" * 15 + "1"


def test_nothing_sums_to_nothing() -> None:
    assert summed([]) == RecordSum() == RecordSum(0, 0, 0)


# Bodies.


@given(records=st.lists(st.binary(max_size=40), max_size=8))
def test_bodies_are_equal_where_records_are(records: list[bytes]) -> None:
    digests = bodies(*records)
    pairs = [(one, two) for one in range(len(records)) for two in range(one)]
    for one, two in pairs:
        assert (digests[one] == digests[two]) is (records[one] == records[two])
    assert digests == [digest for record in records for digest in bodies(record)]


def test_a_record_without_an_id_of_its_own_is_its_body() -> None:
    plain, same, other = ids(b'{"event":"a"}', b'{"event":"a"}', b'{"event":"b"}')
    assert plain == same != other


def test_a_digest_tells_nothing_without_the_key() -> None:
    record = b'{"event":"a"}'
    assert bodies(record)[0] != OTHER_STORE.identities([record]).bodies[0].tobytes()
    assert ids(record)[0] != OTHER_STORE.identities([record]).ids[0].tobytes()
    assert ids(record) != bodies(record)
    assert DIGESTER.name_digest(b"password") != OTHER_STORE.name_digest(b"password")


def test_a_name_digest_is_short_and_steady() -> None:
    assert DIGESTER.name_digest(b"a") == DIGESTER.name_digest(b"a") != DIGESTER.name_digest(b"b")
    assert len(DIGESTER.name_digest(b"a")) == 16


# Events with an id of their own.


def event(identity: str = "7", source: str = "urn:a", tenant: Any = "t", **more: Any) -> bytes:
    data = {"tenant_id": tenant, **more.pop("data", {})}
    made = {"specversion": "1.0", "id": identity, "source": source, "type": "x", **more, "data": data}
    return json.dumps(made, separators=(",", ":")).encode()


@given(
    one=st.tuples(words, words, words),
    two=st.tuples(words, words, words),
    spaced=st.booleans(),
    turned=st.booleans(),
)
def test_an_event_is_its_id_source_and_tenant_in_any_spelling(
    one: tuple[str, str, str], two: tuple[str, str, str], spaced: bool, turned: bool
) -> None:
    first = event(*one, data={"text": "first"})
    second = json.loads(event(*two, data={"text": "second"}))
    if turned:
        second = dict(reversed(second.items()))
    again = json.dumps(second, separators=None if spaced else (",", ":"), ensure_ascii=turned).encode()

    found = ids(first, again)

    assert (found[0] == found[1]) is (one == two)
    assert bodies(first) != bodies(again)


def test_parts_of_an_identity_do_not_run_into_each_other() -> None:
    found = ids(event("ab", "c", "d"), event("a", "bc", "d"), event("a", "b", "cd"), event("", "abc", "d"))
    assert len(set(found)) == 4


tenants = st.dictionaries(st.sampled_from(["a", "b", "data", "tenant_id"]), st.sampled_from(["t", "u"]))


@given(
    above=tenants.map(lambda found: {"extra": found}),
    inside=tenants.map(lambda found: {"other": found}),
    first=st.booleans(),
)
def test_a_tenant_that_is_named_elsewhere_is_not_the_events(
    above: dict[str, Any], inside: dict[str, Any], first: bool
) -> None:
    data = {**inside, "tenant_id": "t"} if first else {"tenant_id": "t", **inside}
    made = {"specversion": "1.0", "id": "7", "source": "urn:a", **above, "data": data}
    assert ids(json.dumps(made, separators=(",", ":")).encode()) == ids(event())


def test_an_event_without_a_tenant_is_told_apart_by_id_and_source() -> None:
    bare = b'{"specversion":"1.0","id":"7","source":"urn:a","type":"x"}'
    again = b'{"specversion":"1.0","id":"7","source":"urn:a","type":"x","data":{"text":"b"}}'
    other = b'{"specversion":"1.0","id":"8","source":"urn:a","type":"x"}'
    found = ids(bare, again, other, event())
    assert found[0] == found[1]
    assert len({found[0], found[2], found[3]}) == 3


@pytest.mark.parametrize(
    "record",
    [
        b'{"specversion":"1.0","id":7,"source":"urn:a"}',
        b'{"specversion":"1.0","source":"urn:a"}',
        b'{"specversion":"1.0","id":"7"}',
        b'{"specversion":"1.0","id":"7","source":"urn:a"',
        b'{"event":"a","payload":{"specversion":"1.0","id":"7","source":"urn:a"}}',
        b'{"id":"7","source":"urn:a","data":{"tenant_id":"t"}}',
        b'{"specversion":"1.0","id":"\xff","source":"urn:a"}',
        b'{"specversion":"1.0","id":"7","source":"urn:a","data":' + b"[" * 3000 + b"}",
    ],
)
def test_what_is_no_cloud_event_is_its_body(record: bytes) -> None:
    own, spaced, known = ids(record, record + b" ", event())
    assert own not in (spaced, known)
    assert own == ids(record)[0]


def test_events_with_and_without_ids_keep_their_rows() -> None:
    records = [b'{"event":"a"}', event("1"), b"{}", event("2"), event("1")]
    together = ids(*records)
    assert together == [ids(record)[0] for record in records]
    assert together[1] == together[4] != together[3]


# Ids of events that have been decoded.


@given(rows=st.lists(st.tuples(words, words, words), min_size=1, max_size=6))
def test_decoded_events_have_the_ids_of_their_records(rows: list[tuple[str, str, str]]) -> None:
    records = [event(identity, source, tenant) for source, tenant, identity in rows]
    parts = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]

    found = DIGESTER.event_ids(parts, records)

    assert [row.tobytes() for row in found] == ids(*records)


def test_where_a_part_is_missing_the_record_decides() -> None:
    records = [event("1"), b'{"specversion":"1.0","id":"1","source":"urn:a"}']
    parts = [pa.array(column, pa.string()) for column in (["urn:a", "urn:a"], ["t", None], ["1", "1"])]
    assert [row.tobytes() for row in DIGESTER.event_ids(parts, records)] == ids(*records)
