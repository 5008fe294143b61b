"""Events damaged at random: another reader says which are JSON still, and nothing is lost or leaks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.classification import Protection
from schemas.contract import load_contracts
from tests.pipeline.support import Ledger, ingest, lines_file, opened, rejects_of
from tests.pipeline.support_populate import Plan, Populator
from tests.pipeline.support_search import NUMBER_STEM, Canaries, everything_written, leaks, tokens_in

SEEDS = (20260302, 1)
EVENTS = 1500
SPACE = b" \t\r"
FAULTS = ("NOT_JSON", "INVALID_UTF8", "DUPLICATE_KEY", "TOO_DEEP")
PIECES = (
    *(bytes((byte,)) for byte in b'"\\{}[],:-0 \x00\x7f\t\xff'),
    *(
        b"null",
        b"true",
        b"NaN",
        b"1e999",
        b"\\u0000",
        b"\\ud800",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(b'"":0,', b'{"a":', b"[[", b'"type":1,', b'"id":"x",', b'"payload":{},', b'"data":{},'),
    b'"event":"meeting.started",',
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, 1e300, "", " ", "x", "\0", "\u202e", "2026-03-01T10:00:00Z"),
    *([], {}, [[]], [None], [1, "a"], {"": ""}, [{"a": [{}]}], "63 kbps", "true", 1772359200000, "14", 14),
)


@dataclass
class Fuzzed:
    """Damaged events, and what a run made of them."""

    plan: Plan
    lines: list[bytes]
    ledger: Ledger
    store: Path


def damaged(line: bytes, rng: random.Random) -> bytes:
    """A line with a change or a few to its bytes, none of which ends it."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at, other = sorted(rng.randrange(len(line) + 1) for _ in range(2))
        other = min(other, at + rng.choice((1, 1, 3, 20, 200)))
        line = rng.choice(
            (
                line[:at] + rng.choice(PIECES) + line[at:],
                line[:at] + rng.choice(PIECES) + line[other:],
                line[:at] + line[other:],
                line[:at] + line[at:other] * 2 + line[other:],
                line[:at] + line[at:other][::-1] + line[other:],
                line[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in line[at:other]) + line[other:],
                line[:at],
            )
        )
    return line.replace(b"\n", b" ").strip(SPACE)


def rebuilt(line: bytes, rng: random.Random) -> bytes:
    """An event that is JSON still, with values, keys and whole branches in other places."""
    event = json.loads(line)
    for _ in range(rng.randint(1, 6)):
        places = list(_places(event))
        (holder, key), (other, place) = rng.choice(places), rng.choice(places)
        value = rng.choice(
            (_copied(rng.choice(VALUES)), _copied(other[place]), [_copied(holder[key])], str(holder[key]))
        )
        if isinstance(holder, dict) and rng.random() < 0.3:
            key = rng.choice((key.upper(), f"{key} ", str(place), "", "data", "payload"))
        holder[key] = value
    return json.dumps(event, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def events(plan: Plan, rng: random.Random) -> Iterator[bytes]:
    yield plan.events[0]  # the first line settles that the file is one of lines
    while True:
        line = rng.choice(plan.events)
        # A number that is moved to where a contract keeps a number is that place's number: nobody could tell.
        changes = (damaged,) if NUMBER_STEM.encode() in line else (damaged, rebuilt)
        if line := rng.choice(changes)(line, rng):
            yield line


@cache
def planted() -> Plan:
    """An event of each shape in each of three ways."""
    populator = Populator(Canaries())
    for shape in load_contracts().shapes:
        populator.add(shape, shape.events[0], "word", populator.as_word)
        populator.add(shape, shape.events[-1], "number", populator.as_number)
        populator.add(shape, shape.events[0], "object", populator.as_object)
    return populator.plan


@pytest.fixture(scope="module", params=SEEDS)
def fuzzed(request: Any, tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Fuzzed:
    folder = tmp_path_factory.mktemp("fuzzed")
    plan, rng = planted(), random.Random(request.param)
    lines = [line for line, _ in zip(events(plan, rng), range(EVENTS), strict=False)]
    ledger = ingest(lines_file(folder / "in.jsonl", lines), folder / "S", keys)
    return Fuzzed(plan, lines, ledger, folder / "S")


def test_exactly_what_is_no_json_is_rejected_as_such(fuzzed: Fuzzed, keys: Path) -> None:
    held = {entry.raw: entry.reason for entry in rejects_of(fuzzed.store, keys)}
    refused = {line for line, reason in held.items() if reason in FAULTS}
    collided = {line for line, reason in held.items() if reason == "ID_COLLISION"}  # found before the rest
    assert refused == {line for line in fuzzed.lines if not is_strict_json(line)} - collided
    assert set(held.values()) >= {"NOT_JSON", "INVALID_UTF8", "DUPLICATE_KEY", "UNKNOWN_TYPE"}


def test_each_has_one_outcome_and_what_is_sealed_whole_comes_back(fuzzed: Fuzzed, keys: Path) -> None:
    outcomes = fuzzed.ledger["outcomes"]
    assert sum(outcomes.values()) == fuzzed.ledger["records"] == len(fuzzed.lines)
    rejects = rejects_of(fuzzed.store, keys)
    assert len(rejects) == outcomes["rejected"] + outcomes["unknown"]
    assert {entry.raw for entry in rejects} <= set(fuzzed.lines)
    assert outcomes["separated"] > EVENTS / 3


def test_no_token_is_in_clear_and_none_is_lost(fuzzed: Fuzzed, keys: Path) -> None:
    assert leaks(everything_written(fuzzed.store)) == []
    sealed = tokens_in(opened(fuzzed.store, keys).everything())
    fed = tokens_in(b"\n".join(fuzzed.lines)) & fuzzed.plan.planted.keys()
    lost = {token: fuzzed.plan.planted[token] for token in fed - sealed}
    assert {token: where for token, where in lost.items() if not may_be_lost(where.entry)} == {}


def may_be_lost(entry: Any) -> bool:
    may = (Protection.PSEUDONYM, Protection.DROP)
    return entry is not None and (entry.protection in may or entry.dotted in ("id", "source"))


def is_strict_json(line: bytes) -> bool:
    """Whether a line is JSON with valid text, no key twice in an object, and no depth of more than 32."""
    try:
        value = json.loads(line.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_int=float)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return _depth(value) <= 32


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse(_: str) -> Any:
    raise ValueError("no number of JSON")


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_depth, inside), default=0)
