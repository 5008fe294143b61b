"""The generator: repeatable, lazy, inside its contracts, and right about what its records come to."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.generate_command import generate as generate_command
from pipelines.generator import SHAPES, EventStream, Settings, generate
from pipelines.generator_expected import DUPLICATE, SEPARATED, Batch, Expect
from pipelines.generator_faults import FAULTS, REASONS, make_fault
from pipelines.generator_people import make_cast
from schemas.classification import Protection
from schemas.contract import ITEMS, ArrayNode, ContractSet, Field, Node, ObjectNode, load_contracts
from schemas.strict_json import RecordFault, parse_strict
from schemas.telemetry import telemetry_tables

EVENTS = 6_000
EMPTY: tuple[Any, ...] = (None, "", [], {})


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts()


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(EventStream(Settings(EVENTS, seed=11)).batches())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("generated") / "out"
    generate(Settings(EVENTS, seed=11), made)
    return made


def digest_of(root: Path) -> str:
    summed = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            summed.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return summed.hexdigest()


def leaves_of(node: Node | None, value: Any, path: str = "") -> Iterator[tuple[str, Field | None, Any, Any]]:
    """Path, field, value and surrounding object of every leaf of an event; no field where none is named."""
    if isinstance(node, ObjectNode) and isinstance(value, dict):
        for key, member in value.items():
            child = node.children.get(node.aliases.get(key, key))
            below = f"{path}.{key}".strip(".")
            if isinstance(child, Field):
                yield below, child, member, value
            else:
                yield from leaves_of(child, member, below)
    elif isinstance(node, ArrayNode) and isinstance(value, list):
        for element in value:
            yield from leaves_of(node.items, element, f"{path}[]")
    else:
        yield path, None, value, None


def read_plainly(contracts: ContractSet, expect: Expect, line: bytes) -> tuple[set[str], set[str], int]:
    """Kinds, dropped fields and number of unknown values of a record, read without the pipeline."""
    shape = contracts.by_event[expect.source, expect.event_type]
    kinds, dropped, unknown = set(), set(), 0
    for _, field, value, around in leaves_of(shape.root, json.loads(line)):
        if field is None:
            unknown += 1
        elif field.protection is Protection.DROP:
            dropped.add(field.dotted)
        elif field.protection is Protection.SEAL and value not in EMPTY:
            by = field.kind_by
            kinds.add(by.kinds.get(around[by.sibling], by.otherwise) if by else field.kind)
    return kinds, dropped, unknown


def child_rows(contracts: ContractSet, expect: Expect, line: bytes) -> dict[str, int]:
    shape = contracts.by_event[expect.source, expect.event_type]
    rows = {}
    for table in telemetry_tables(shape):
        found = [json.loads(line)]
        for step in table.array:
            inner = chain(*found) if step == ITEMS else (each[step] for each in found if step in each)
            found = list(inner)
        number = sum(map(len, found)) if table.array else 1
        if number:
            rows[table.name] = number
    if expect.event_type in shape.roster:
        rows["roster"] = 1
    return rows


def separated(batches: list[Batch]) -> Iterator[tuple[Expect, bytes]]:
    for batch in batches:
        if batch.expect.outcome == SEPARATED:
            yield from ((batch.expect, line) for line in batch.lines)


def test_equal_seeds_give_equal_files(folder: Path, tmp_path: Path) -> None:
    generate(Settings(EVENTS, seed=11), tmp_path / "again")
    generate(Settings(EVENTS, seed=12), tmp_path / "other")
    assert digest_of(tmp_path / "again") == digest_of(folder)
    assert digest_of(tmp_path / "other") != digest_of(folder)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("events", [1, 2, 39, 40, 121, 2000, 3333])
def test_as_many_records_as_asked_for(events: int, shape: str) -> None:
    stream = EventStream(Settings(events, seed=2, shape=shape))
    assert sum(len(batch.lines) for batch in stream.batches()) == events


def test_every_key_is_named_by_a_contract(contracts: ContractSet, batches: list[Batch]) -> None:
    for expect, line in separated(batches):
        parse_strict(line)
        shape = contracts.by_event[expect.source, expect.event_type]
        paths = [path for path, field, _, _ in leaves_of(shape.root, json.loads(line)) if field is None]
        assert len(paths) == expect.unknown_fields, (expect.event_type, paths)


def test_expected_kinds_are_those_of_the_contracts(contracts: ContractSet, batches: list[Batch]) -> None:
    for expect, line in separated(batches):
        kinds, dropped, unknown = read_plainly(contracts, expect, line)
        kinds |= {"unclassified"} if unknown or expect.misfits else set()
        assert (expect.event_type, set(expect.kinds)) == (expect.event_type, kinds)
        assert set(expect.dropped) == dropped


def test_expected_rows_are_those_of_the_contracts(contracts: ContractSet, batches: list[Batch]) -> None:
    for expect, line in separated(batches):
        assert dict(expect.rows) == child_rows(contracts, expect, line), expect.event_type


def test_kinds_are_counted_once() -> None:
    stream = EventStream(Settings(EVENTS, seed=3)).batches()
    assert all(len(set(batch.expect.kinds)) == len(batch.expect.kinds) for batch in stream)


def test_outcomes_add_up(folder: Path) -> None:
    expected = json.loads((folder / "expected/outcomes.json").read_text())
    outcomes = expected["outcomes"]
    assert expected["records"] == sum(outcomes.values()) == EVENTS
    assert sum(expected["read_by_source"].values()) == EVENTS
    assert sum(row["records"] for row in expected["separated"]) == outcomes["separated"]
    assert sum(expected["reasons"].values()) == outcomes["rejected"] + outcomes["unknown"]
    events = (number for name, number in expected["rows"].items() if "__" not in name and name != "roster")
    assert sum(events) == outcomes["separated"]


@pytest.mark.parametrize("seed", range(3))
def test_all_faults_are_present_in_few_records(seed: int) -> None:
    batches = list(EventStream(Settings(2_000, seed)).batches())
    assert set(REASONS.values()) == {batch.expect.reason for batch in batches} - {"-"}
    assert any(batch.expect.misfits for batch in batches)
    assert any(batch.expect.unknown_fields for batch in batches)
    assert any(batch.expect.outcome == DUPLICATE for batch in batches)


@pytest.mark.parametrize("source", ["zoom", "cofferdam"])
@pytest.mark.parametrize("name", [name for name, code in REASONS.items() if code != "ID_COLLISION"])
def test_a_spoilt_record_has_its_reason(name: str, source: str, contracts: ContractSet) -> None:
    person = next(make_cast(1, 60).people)
    (batch,) = make_fault(name, source, random.Random(1), person, 7, 1_772_000_000_000)
    reason = REASONS[name]
    if reason in ("UNKNOWN_TYPE", "NOT_AN_EVENT"):
        record = json.loads(batch.lines[0])
        assert isinstance(record, dict) is (reason == "UNKNOWN_TYPE")
        if isinstance(record, dict):
            event = str(record.get("type", record.get("event")))
            assert (source, event) not in contracts.by_event
        return
    with pytest.raises(RecordFault) as caught:
        parse_strict(batch.lines[0])
    assert caught.value.code == reason


def test_no_two_faults_are_equal() -> None:
    person = next(make_cast(1, 60).people)
    lines = [
        line
        for number in range(40)
        for name in FAULTS
        for batch in make_fault(name, "cofferdam", random.Random(1), person, number, 1_772_000_000_000)
        for line in batch.lines
    ]
    assert len(set(lines)) == len(lines)


def test_repeated_records_came_before_and_no_others_are_equal(batches: list[Batch]) -> None:
    seen: set[bytes] = set()
    for batch in batches:
        for line in batch.lines:
            assert (line in seen) is (batch.expect.outcome == DUPLICATE)
            seen.add(line)


def test_collisions_share_an_id_with_a_record_before(batches: list[Batch]) -> None:
    ids: dict[str, bytes] = {}
    collisions = 0
    for batch in batches:
        for line in batch.lines if batch.source == "cofferdam" else ():
            if batch.expect.reason == "ID_COLLISION":
                collisions += 1
                assert ids[json.loads(line)["id"]] != line
            elif batch.expect.outcome == SEPARATED:
                assert ids.setdefault(json.loads(line)["id"], line) == line
    assert collisions > 0


def test_some_records_are_late(batches: list[Batch]) -> None:
    times = [
        json.loads(batch.lines[0])["event_ts"]
        for batch in batches
        if batch.source == "zoom" and batch.expect.outcome == SEPARATED
    ]
    assert max(early - late for early, late in pairwise(times)) > 5 * 60_000


def test_quality_records_dominate_and_sizes_are_like_real_ones() -> None:
    batches = list(EventStream(Settings(30_000, seed=5)).batches())
    by_type = Counter[str]()
    for batch in batches:
        by_type[batch.expect.event_type] += len(batch.lines)
    quality = by_type["meeting.participant_qos"] + by_type["io.cofferdam.meeting.quality.v1"]
    size = sum(len(line) for batch in batches for line in batch.lines) / 30_000
    assert quality > 20_000
    assert 600 < size < 800


def test_people_are_of_several_regions_and_channels(batches: list[Batch]) -> None:
    joined = "io.cofferdam.meeting.participant.joined.v1"
    visits = [
        json.loads(line)["data"]["participant"]
        for expect, line in separated(batches)
        if expect.event_type == joined
    ]
    assert len({visit["region"] for visit in visits}) >= 5
    assert {"app", "web", "dial_in"} <= {visit["channel"] for visit in visits}
    assert 0 < sum("user_id" not in visit for visit in visits) < len(visits)


def test_whoever_left_had_joined(batches: list[Batch]) -> None:
    visits: dict[str, set[str]] = {"joined": set(), "left": set()}
    for expect, line in separated(batches):
        word = expect.event_type.split(".")[-2]
        if "participant" in expect.event_type and word in visits and expect.source == "cofferdam":
            visits[word].add(json.loads(line)["data"]["participant"]["join_id"])
    assert visits["left"] == visits["joined"]


def test_stream_is_lazy_and_its_memory_flat() -> None:
    stream = EventStream(Settings(10_000_000, seed=1)).batches()
    list(islice(stream, 3_000))
    tracemalloc.start()
    for _ in islice(stream, 3_000):
        pass
    before, _ = tracemalloc.get_traced_memory()
    for _ in islice(stream, 6_000):
        pass
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 3_000_000


def test_files_hold_all_records_in_all_layouts(folder: Path) -> None:
    events = folder / "events"
    array = json.loads((events / "cloudevents-batch.json").read_bytes())
    packed = gzip.decompress((events / "zoom-archive.jsonl.gz").read_bytes()).splitlines()
    lines = [line for path in events.glob("*.jsonl") for line in path.read_bytes().split(b"\n") if line]
    assert len(array) == len(packed) == 100
    assert len(array) + len(packed) + len(lines) == EVENTS
    assert len(list(events.glob("zoom-0*.jsonl"))) > 1
    assert len(list(events.glob("cloudevents-0*.jsonl"))) > 1


def test_addresses_are_invented() -> None:
    for person in make_cast(4, 200).people:
        assert person.email.endswith(".example")
        assert "555" in person.phone or person.phone.startswith(
            ("+44 20 7946 09", "+49 30 23125", "+33 1 99 00")
        )


def test_command_prints_what_to_expect(tmp_path: Path) -> None:
    arguments = ["--events", "200", "--seed", "5", "--output", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(generate_command, arguments)
    assert result.exit_code == 0
    assert json.loads(result.output) == json.loads((tmp_path / "out/expected/outcomes.json").read_text())


def test_command_never_writes_into_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = CliRunner().invoke(generate_command, ["--events", "10", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_command_refuses_a_shape_it_does_not_know(tmp_path: Path) -> None:
    arguments = ["--events", "10", "--shape", "teams", "--output", str(tmp_path / "out")]
    assert CliRunner().invoke(generate_command, arguments).exit_code == 2
