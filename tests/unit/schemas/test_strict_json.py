"""The strict reader against msgspec, the standard library, and the published parsing test suite."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import strict_json
from schemas.strict_json import RecordFault, Value, check_containers, count_keys, parse_strict, unescape

DEPTH = 4

# ---------------------------------------------------------------------------------------------------------
# Texts that are JSON, and texts that nearly are


ESCAPES = [
    "\\n",
    '\\"',
    "\\\\",
    "\\/",
    "\\u0061",
    "\\u00e9",
    "\\uD83D\\uDE00",
    "\\ud83d\\ude00",
    "\\u0000",
    "\\uFFFF",
]


def spaces() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "", "", " ", "\n", "\t\r "])


def strings() -> st.SearchStrategy[str]:
    pieces = st.sampled_from([*"abé漢😀\x7f[{:,", *ESCAPES])
    return st.lists(pieces, max_size=4).map(lambda chosen: '"' + "".join(chosen) + '"')


def keys() -> st.SearchStrategy[str]:
    return st.one_of(
        strings(), st.sampled_from(['"a"', '"\\u0061"', '"b"', '"c"', '"d"', '"é"', '"\\u00E9"'])
    )


def scalars() -> st.SearchStrategy[str]:
    numbers = st.sampled_from(["0", "-0", "1", "-12", "0.5", "1.25e3", "1E-7", "-0.0e+0", "1e999", "9" * 30])
    return st.one_of(strings(), numbers, st.sampled_from(["true", "false", "null"]))


@st.composite
def containers(draw: st.DrawFn, children: st.SearchStrategy[str]) -> str:
    values = draw(st.lists(children, max_size=4))
    spaced = [draw(spaces()) + value + draw(spaces()) for value in values]
    if draw(st.booleans()):
        return "[" + (",".join(spaced) or draw(spaces())) + "]"
    members = [draw(spaces()) + draw(keys()) + draw(spaces()) + ":" + value for value in spaced]
    return "{" + (",".join(members) or draw(spaces())) + "}"


def nested(text: str, levels: int) -> str:
    for level in range(levels):
        text = f"[0,{text}]" if level % 2 else f'{{"a":{text}}}'
    return text


def documents() -> st.SearchStrategy[bytes]:
    values = st.recursive(scalars(), containers, max_leaves=12)
    deep = st.builds(nested, values, st.sampled_from([0, 0, 0, 2, DEPTH, DEPTH + 1]))
    return st.tuples(spaces(), deep, spaces()).map(lambda parts: "".join(parts).encode())


FRAGMENTS = [
    bytes([byte]) for byte in b'{}[]:,"\\u0123456789abdDcCeE+-.tfn \n\x00\x1f\x0c\x80\xbf\xc0\xc3\xed\xf4\xff'
]
FRAGMENTS += [
    b"true",
    b"null",
    b"\\ud800",
    b"\\udc00",
    b"\\u00",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"01",
    b"1.",
    b"NaN",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + draw(st.one_of(st.just(b""), st.sampled_from(FRAGMENTS))) + text[end:]
    return text


def anything() -> st.SearchStrategy[bytes]:
    return st.one_of(documents(), mutated(), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join))


# ---------------------------------------------------------------------------------------------------------
# Oracles


class Duplicate(Exception):  # noqa: N818
    pass


def refuse_duplicates(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise Duplicate
    return [("member", *pair) for pair in pairs]  # type: ignore[misc]


def refuse(_: str) -> None:
    raise ValueError


def read_by_standard_library(data: bytes, pairs_hook: Any) -> Any:
    """The record as nested lists (members as tuples, numbers as their text); ValueError if it is not JSON."""
    value = json.loads(
        data.decode("utf-8", "strict"),
        object_pairs_hook=pairs_hook,
        parse_constant=refuse,
        parse_int=lambda text: ("number", text),
        parse_float=lambda text: ("number", text),
    )
    json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError, a ValueError, for half a pair
    return value


def depth_of(value: Any) -> int:
    """Depth of what `read_by_standard_library` gives."""
    if isinstance(value, list):
        return 1 + max((depth_of(item) for item in value), default=0)
    if isinstance(value, tuple) and value[0] == "member":
        return depth_of(value[2])
    return 0


def expected_code(data: bytes) -> set[str]:
    """The codes that a record may be given; more than one where the first fault decides."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return {"INVALID_UTF8"}
    codes = set()
    try:
        value = read_by_standard_library(data, lambda pairs: [("member", *pair) for pair in pairs])
    except ValueError:
        # What stands before the fault of grammar may be at fault as well.
        return {"NOT_JSON", "TOO_DEEP", "DUPLICATE_KEY"}
    if depth_of(value) > DEPTH:
        codes.add("TOO_DEEP")
    try:
        read_by_standard_library(data, refuse_duplicates)
    except Duplicate:
        codes.add("DUPLICATE_KEY")
    return codes or {"none"}


def first_ill_formed(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return -1


def verdict(data: bytes, **options: Any) -> tuple[str, int]:
    try:
        parse_strict(data, **{"max_depth": DEPTH, **options})
    except RecordFault as fault:
        return fault.code, fault.position
    return "none", -1


def msgspec_accepts(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def rebuilt(value: Value, data: bytes) -> Any:
    """A tree in the form of `read_by_standard_library`."""
    if value.members is not None:
        return [("member", key.decode(), rebuilt(member, data)) for key, member in value.members]
    if value.items is not None:
        return [rebuilt(item, data) for item in value.items]
    raw = data[value.start : value.end]
    if value.kind == "string":
        return unescape(raw)
    return (
        ("number", raw.decode()) if value.kind == "number" else {"true": True, "false": False}.get(value.kind)
    )


# ---------------------------------------------------------------------------------------------------------
# Properties


@given(anything())
def test_what_msgspec_accepts_is_refused_only_for_utf8_duplicates_and_depth(data: bytes) -> None:
    code, _ = verdict(data)
    if msgspec_accepts(data):
        assert code != "NOT_JSON"
    else:
        assert code != "none"


@given(anything())
@example(b'{"a":1,"a":x')
@example(b"[[[[[x")
def test_verdict_is_that_of_the_standard_library_made_strict(data: bytes) -> None:
    assert verdict(data)[0] in expected_code(data)


@given(documents())
def test_tree_is_that_of_the_standard_library(data: bytes) -> None:
    code, _ = verdict(data, max_depth=100)
    if code != "none":
        assert code == "DUPLICATE_KEY"
        return
    value = parse_strict(data, max_depth=100)
    assert rebuilt(value, data) == read_by_standard_library(data, refuse_duplicates)


@given(documents())
def test_span_of_every_value_is_that_value(data: bytes) -> None:
    if verdict(data, max_depth=100)[0] != "none":
        return
    waiting = [parse_strict(data, max_depth=100)]
    while waiting:
        value = waiting.pop()
        span = parse_strict(data[value.start : value.end], max_depth=100)
        assert (span.kind, span.start, span.end) == (value.kind, 0, value.end - value.start)
        waiting += [member for _, member in value.members or ()] + (value.items or [])


@given(anything(), st.integers(0, DEPTH + 2))
def test_fault_is_the_same_whatever_is_kept(data: bytes, keep_below: int) -> None:
    assert verdict(data, keep_below=keep_below) == verdict(data)
    try:
        check_containers(data, max_depth=DEPTH)
        checked = ("none", -1)
    except RecordFault as fault:
        checked = (fault.code, fault.position)
    assert checked == verdict(data)


@given(
    st.lists(st.one_of(st.binary(max_size=4), st.text(max_size=3).map(str.encode)), max_size=5).map(b"".join)
)
@example(b"\xed\xa0\x80")
@example(b"\xc0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\xf4\x8f\xbf\xbf\xe2\x82")
def test_utf8_is_judged_as_the_standard_library_does(data: bytes) -> None:
    code, position = verdict(data)
    assert (position if code == "INVALID_UTF8" else -1) == first_ill_formed(data)


# ---------------------------------------------------------------------------------------------------------
# Single faults


def test_every_byte_and_escape_in_a_string_is_judged_as_msgspec_does() -> None:
    bodies = [bytes([byte]) for byte in range(128)] + [b"\\" + bytes([byte]) for byte in range(128)]
    bodies += [b"\\u%04x" % unit for unit in range(0x10000)]
    edges = [b"\\u%04x" % unit for unit in (0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000)]
    capitals = [b"\\u" + edge[2:].upper() for edge in edges]
    bodies += [first + second for first in edges + capitals for second in [*edges, *capitals, b"x"]]

    # The blanks keep msgspec from calling half a pair at the end a truncated text.
    texts = [b'"%b"       ' % body for body in bodies]
    assert [text for text in texts if msgspec_accepts(text) != (verdict(text)[0] == "none")] == []


@pytest.mark.parametrize(
    ("data", "code", "position"),
    [
        (b"", "NOT_JSON", 0),
        (b" \n", "NOT_JSON", 2),
        (b"\xef\xbb\xbf{}", "NOT_JSON", 0),
        ("{}".encode("utf-16"), "INVALID_UTF8", 0),
        ("{}".encode("utf-16-le"), "NOT_JSON", 1),
        (b"{} {}", "NOT_JSON", 3),
        (b"1,2", "NOT_JSON", 1),
        (b"01", "NOT_JSON", 1),
        (b"1.", "NOT_JSON", 1),
        (b"\x0c1", "NOT_JSON", 0),
        (b"1\x00", "NOT_JSON", 1),
        (b"NaN", "NOT_JSON", 0),
        (b"[1, 2, tru]", "NOT_JSON", 7),
        (b"[1, ]", "NOT_JSON", 4),
        (b"[, 1]", "NOT_JSON", 1),
        (b"[1}", "NOT_JSON", 2),
        (b"[1", "NOT_JSON", 2),
        (b"]", "NOT_JSON", 0),
        (b'{"a": 1, }', "NOT_JSON", 9),
        (b'{"a"; 1}', "NOT_JSON", 4),
        (b'{"a": 01}', "NOT_JSON", 7),
        (b'{"a": "\t"}', "NOT_JSON", 6),
        (b'{"\\ud800": 1}', "NOT_JSON", 1),
        (b'["\\ud800\\u0061"]', "NOT_JSON", 1),
        (b'["\\udc00\\ud800"]', "NOT_JSON", 1),
        (b"[[[[[", "TOO_DEEP", 4),
        (b'{"a": 1, "a": 2}', "DUPLICATE_KEY", 9),
        (b'{"a": 1, "\\u0061": 2}', "DUPLICATE_KEY", 9),
        (b'[{"\\/": {}, "/": 2}]', "DUPLICATE_KEY", 12),
        ('{"😀": 1, "\\ud83d\\ude00": 2}'.encode(), "DUPLICATE_KEY", 12),
        # The first fault counts, except that UTF-8 is judged before all.
        (b'{"a": 1, "a": \x01}', "DUPLICATE_KEY", 9),
        (b'{"a": 1, "a" 2}', "DUPLICATE_KEY", 9),
        (b'{"a": \x01, "a": 1}', "NOT_JSON", 6),
        (b'{"a": 1, "a": [[[[[', "DUPLICATE_KEY", 9),
        (b'[{"a": [[[ 1, \xff', "INVALID_UTF8", 14),
    ],
)
def test_first_fault_is_named_with_its_position(data: bytes, code: str, position: int) -> None:
    assert verdict(data) == (code, position)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}',  # equal keys of different objects
        b'{"a": 1, "A": 2, "a ": 3, "": 4}',
        '{"\u00e9": 1, "e\u0301": 2}'.encode(),  # keys are compared as they are, not normalised
        b'{"a": "a", "b": "a"}',
        b'"\\u0000"',
        b"1e999",
        b"[[[[]]]]",
    ],
)
def test_record_at_the_edge_is_accepted(data: bytes) -> None:
    assert verdict(data)[0] == "none"


def test_value_describes_the_record() -> None:
    data = rb' {"k\u0041": [1, "\n"], "t": true} '

    value = parse_strict(data)

    assert value == Value(
        "object",
        1,
        len(data) - 1,
        members=[
            (b"kA", Value("array", 13, 22, items=[Value("number", 14, 15), Value("string", 17, 21)])),
            (b"t", Value("true", 29, 33)),
        ],
    )
    assert count_keys(value) == 2


def test_deeper_containers_are_checked_but_not_kept() -> None:
    value = parse_strict(b'{"a": {"b": 1}, "c": [2, 3]}', keep_below=2)

    assert value.members == [(b"a", Value("object", 6, 14)), (b"c", Value("array", 21, 27))]


def test_values_are_never_turned_into_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(strict_json, "unescape", lambda data: seen.append(data) or unescape(data))  # type: ignore[func-returns-value]

    parse_strict(rb'{"k": "secret\n", "\u006b2": ["secret\u0041"]}')

    assert seen == [rb'"\u006b2"']


@pytest.mark.parametrize("data", [b"1", b'"\xff"', b'"', b'"\\ud800"', b"", b"[" * 100_000])
def test_unescape_refuses_what_is_no_string_without_showing_it(data: bytes) -> None:
    with pytest.raises(RecordFault) as caught:
        unescape(data)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# ---------------------------------------------------------------------------------------------------------
# Faults and reprs


def test_fault_survives_pickling_and_shows_no_value() -> None:
    with pytest.raises(RecordFault) as caught:
        parse_strict(b'{"canary": "canary", "canary": 1}')

    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301

    assert (copy.code, copy.position) == ("DUPLICATE_KEY", 21)
    assert str(copy) == "DUPLICATE_KEY at byte 21"
    assert "canary" not in repr(copy)


def test_codes_are_a_closed_set() -> None:
    with pytest.raises(ValueError, match="not a code"):
        RecordFault("canary", 0)  # type: ignore[arg-type]


def test_repr_of_a_value_shows_no_key() -> None:
    assert "canary" not in repr(parse_strict(b'{"canary": ["canary"]}'))


# ---------------------------------------------------------------------------------------------------------
# Hostile sizes

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("opener", [b"[", b'{"a":', b"[0,["])
def test_millions_of_brackets_end_as_a_fault_at_once(opener: bytes) -> None:
    data = opener * 10_000_000
    start = time.process_time()

    for read in (parse_strict, check_containers):
        with pytest.raises(RecordFault, match="TOO_DEEP"):
            read(data)

    assert time.process_time() - start < 1


def test_depth_is_bounded_by_the_limit_alone() -> None:
    levels = 200_000
    value = parse_strict(b"[" * levels + b"]" * levels, max_depth=levels)

    assert value.end == 2 * levels
    assert count_keys(value) == 0


@pytest.mark.parametrize(
    "data",
    [
        b'"%b"' % (b"a" * (16 * MEBIBYTE)),
        b'"%b"' % (b"a\\n" * (5 * MEBIBYTE)),
        b'"%b"' % (b"\\ud83d\\ude00" * MEBIBYTE),
        '"{}"'.format("漢" * (5 * MEBIBYTE)).encode(),
        b"-1.5%b" % (b"0" * (16 * MEBIBYTE)),
        b" " * (16 * MEBIBYTE) + b"1",
    ],
    ids=["plain", "escapes", "pairs", "wide", "digits", "spaces"],
)
def test_long_value_is_read_in_linear_time_and_never_copied(data: bytes) -> None:
    tracemalloc.start()
    start = time.process_time()
    try:
        parse_strict(data)
        with pytest.raises(RecordFault, match=r"NOT_JSON at byte"):
            parse_strict(data + b"\x01")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert time.process_time() - start < 10
    # The second record is the test's own copy; the reader adds next to nothing to it.
    assert peak < len(data) + MEBIBYTE


def test_unended_string_is_refused_in_linear_time() -> None:
    start = time.process_time()

    assert verdict(b'["' + b"a\\n" * (5 * MEBIBYTE)) == ("NOT_JSON", 1)

    assert time.process_time() - start < 10


def test_wide_array_costs_no_memory_when_nothing_is_kept() -> None:
    data = b"[" + b"0, " * MEBIBYTE + b"0]"
    tracemalloc.start()
    try:
        check_containers(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MEBIBYTE


# ---------------------------------------------------------------------------------------------------------
# The published suite of JSON parsing tests


def suite(shared_folder: Path, first_letter: str) -> list[tuple[str, bytes]]:
    folder = shared_folder / "corpora" / "json_parsing"
    if not folder.is_dir():
        pytest.skip("the published suite of JSON parsing tests is not beside this checkout")
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob(f"{first_letter}_*.json"))]


def test_suite_of_malformed_texts_is_refused(shared_folder: Path) -> None:
    texts = suite(shared_folder, "n")

    assert len(texts) > 100
    assert [name for name, data in texts if verdict(data, max_depth=32)[0] == "none"] == []


def test_suite_of_well_formed_texts_is_accepted_but_for_duplicate_keys(shared_folder: Path) -> None:
    texts = suite(shared_folder, "y")
    refused = {name: verdict(data, max_depth=32)[0] for name, data in texts}

    assert len(texts) > 50
    # RFC 8259 allows equal keys; we refuse them, because readers disagree on which of them counts.
    assert {name: code for name, code in refused.items() if code != "none"} == {
        "y_object_duplicated_key.json": "DUPLICATE_KEY",
        "y_object_duplicated_key_and_value.json": "DUPLICATE_KEY",
    }


def test_suite_of_open_cases_is_decided_as_msgspec_does_or_by_our_own_rules(shared_folder: Path) -> None:
    texts = suite(shared_folder, "i")

    assert len(texts) > 20
    for name, data in texts:
        code = verdict(data, max_depth=32)[0]
        assert code in ("INVALID_UTF8", "TOO_DEEP") or (code == "none") == msgspec_accepts(data), name
