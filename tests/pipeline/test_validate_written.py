"""Validation of what was written: a sound store holds, and each change of a file is found and counted."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.run_erase import EraseOptions, run_erase
from schemas.contract import ContractSet
from schemas.errors import ConfigurationError
from schemas.tables import (
    DECISION_CLASSES,
    DECISION_ITEMS,
    LEDGER,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
    ROSTER,
)
from tests.pipeline.release_world import AS_OF, World, meeting
from tests.pipeline.reprocess_world import Chance, poor_contract, reprocess, write_contract
from tests.pipeline.support import ingest, lines_file
from tests.pipeline.support_events import joined
from transforms.store import Store
from transforms.validate_written import known_contracts, recorded_contracts, validate_written
from validation.written_checks import WrittenChecks
from validation.written_judge import WrittenJudge

CHAT = "telemetry/cofferdam_chat"
JOINED = "telemetry/zoom_participant"
VALUE = "Ada said she would leave"


@pytest.fixture(scope="module")
def judge() -> WrittenJudge:
    return WrittenJudge()


@pytest.fixture(scope="module")
def contracts() -> list[ContractSet]:
    return known_contracts()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Ada and Bob in a meeting; both have agreed, so that their messages are released."""
    made = World(tmp_path_factory.mktemp("written"), keys)
    made.adults("ada", "bob")
    made.ingest([*meeting(["ada", "bob"], items=3), joined(1), b"not json", b'{"event": "no.such"}'])
    made.say("ada")
    made.say("bob")
    assert made.release()["released"] == 3
    return made


@pytest.fixture(scope="module")
def sound(world: World, contracts: list[ContractSet], judge: WrittenJudge) -> WrittenChecks:
    return validate_written(Store.open(world.store), contracts, judge)


def test_a_sound_store_holds(sound: WrittenChecks) -> None:
    assert sound.violations == ()
    assert sound.holds
    areas = {area.area: area for area in sound.areas}
    assert set(areas) == {"conservation", "evidence", "quarantine", "released", "roster", "telemetry"}
    for name, area in areas.items():
        assert area.expectations == area.evaluated + area.not_exercised
        assert area.evaluated > 5
        assert area.rows > 0 or name == "conservation"


def test_what_saw_no_rows_is_not_passed_but_not_exercised(sound: WrittenChecks) -> None:
    telemetry = next(area for area in sound.areas if area.area == "telemetry")
    assert telemetry.not_exercised > telemetry.evaluated
    assert sound.tables_without_rows > 50
    assert sound.not_exercised[JOINED] > 0


def test_an_empty_store_holds_nothing(
    tmp_path: Path, contracts: list[ContractSet], judge: WrittenJudge
) -> None:
    empty = validate_written(Store.open_or_create(tmp_path / "S"), contracts, judge)
    assert not empty.holds
    assert empty.total("evaluated") == 0
    assert empty.total("not_exercised") == empty.total("expectations") > 3000


def test_a_store_holds_after_an_erasure_of_somebody(
    world: World, contracts: list[ContractSet], tmp_path: Path
) -> None:
    twin = copy.copy(world)
    twin.folder = tmp_path / "world"
    shutil.copytree(world.folder, twin.folder)
    options = EraseOptions(
        store=str(twin.store),
        keys=twin.keys / "release",
        consents=(twin.consents,),
        registry=twin.registry,
        as_of=AS_OF,
        subjects=("cofferdam.user_id:ada",),
        max_share=100,
        allow_test_keys=True,
    )
    gone = run_erase(options, show_progress=False)["rows"]
    assert gone[RELEASED]["gone"] == 3
    assert gone[ROSTER]["changed"] == 2
    checks = validate_written(Store.open(twin.store), contracts, PlainJudge())
    assert checks.violations == ()
    assert checks.holds


def test_a_store_of_odd_events_holds_before_and_after_reprocessing(keys: Path, tmp_path: Path) -> None:
    mended, poor = write_contract(tmp_path / "mended"), poor_contract(tmp_path / "poor")
    known = known_contracts([mended, poor])
    ingest(
        lines_file(tmp_path / "in.jsonl", Chance(3).events(150)),
        tmp_path / "S",
        keys,
        contract_files=(poor,),
    )
    before = validate_written(Store.open(tmp_path / "S"), known, PlainJudge())
    reprocess(tmp_path / "S", keys, mended)
    after = validate_written(Store.open(tmp_path / "S"), known, PlainJudge())
    assert (before.violations, after.violations) == ((), ())
    assert after.total("evaluated") > before.total("evaluated") > 100


# --- changes of written files -----------------------------------------------------------------------------

Change = Callable[[pa.Table], pa.Table]


def put(column: str, value: object) -> Change:
    """Let the first row say something else."""

    def change(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index(column)
        values = rows.column(column).to_pylist()
        field = rows.schema.field(column)
        return rows.set_column(at, field, pa.array([value, *values[1:]], field.type))

    return change


def everywhere(column: str, value: object) -> Change:
    """Let all rows say something else."""

    def change(rows: pa.Table) -> pa.Table:
        field = rows.schema.field(column)
        values = pa.array([value] * rows.num_rows, field.type)
        return rows.set_column(rows.schema.get_field_index(column), field, values)

    return change


def widen(rows: pa.Table) -> pa.Table:
    return rows.append_column(VALUE, pa.array([VALUE] * rows.num_rows))


def drop(column: str) -> Change:
    return lambda rows: rows.drop_columns([column])


def as_text(column: str) -> Change:
    def change(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index(column)
        return rows.set_column(at, column, rows.column(column).cast(pa.string()))

    return change


def fewer(rows: pa.Table) -> pa.Table:
    return rows.slice(1)


@dataclass(frozen=True)
class Case:
    """A change of one file of a table, and what is to be found there: column and code."""

    table: str
    change: Change
    found: tuple[str, str]


PLAIN = b'{"text": "she said that she would leave on Tuesday"}' * 8
CASES = [
    Case(CHAT, widen, ("(columns)", "COLUMN_UNKNOWN")),
    Case(CHAT, drop("participant"), ("(columns)", "COLUMN_MISSING")),
    Case(QUARANTINE_ITEMS, drop("event_time"), ("(columns)", "COLUMN_MISSING")),
    Case(DECISION_CLASSES, drop("outcomes"), ("(columns)", "COLUMN_MISSING")),
    Case(CHAT, as_text("event_time"), ("(columns)", "COLUMN_UNKNOWN")),
    Case(CHAT, put("event_type", VALUE), ("event_type", "OUTSIDE_SET")),
    Case(CHAT, put("tenant", VALUE), ("tenant", "NOT_A_PSEUDONYM")),
    Case(CHAT, put("event_id", None), ("event_id", "VALUE_MISSING")),
    Case(CHAT, put("contract", VALUE), ("contract", "CONTRACT_UNKNOWN")),
    Case(CHAT, put("contract", None), ("contract", "CONTRACT_UNKNOWN")),
    Case(CHAT, fewer, ("rows of files", "DOES_NOT_ADD_UP")),
    Case(QUARANTINE_ITEMS, widen, ("(columns)", "COLUMN_UNKNOWN")),
    Case(QUARANTINE_ITEMS, put("kind", VALUE), ("kind", "OUTSIDE_SET")),
    Case(QUARANTINE_ITEMS, put("key_id", b"0" * 16), ("key_id", "NOT_TRACEABLE")),
    Case(QUARANTINE_ITEMS, put("blob_part", 77), ("blob_part", "NOT_TRACEABLE")),
    Case(QUARANTINE_ITEMS, put("sender_join", "ada"), ("sender_join", "NOT_A_PSEUDONYM")),
    Case(QUARANTINE_BLOBS, put("ciphertext", PLAIN), ("ciphertext", "NOT_CIPHERTEXT")),
    Case(QUARANTINE_BLOBS, put("ciphertext", PLAIN), ("ciphertext for its size class", "LENGTH_DIFFERS")),
    Case(QUARANTINE_BLOBS, put("ciphertext", b"x"), ("ciphertext", "LENGTH")),
    Case(QUARANTINE_BLOBS, put("item_ids", b"x" * 17), ("item_ids", "LENGTH_DIFFERS")),
    Case(QUARANTINE_BLOBS, put("scheme", "plain"), ("scheme", "OUTSIDE_SET")),
    Case(QUARANTINE_KEYS, put("covers", "nothing"), ("covers", "OUTSIDE_SET")),
    Case(QUARANTINE_KEYS, put("wrapped", b"k" * 32), ("wrapped", "LENGTH")),
    Case(QUARANTINE_KEYS, everywhere("wrapped", b"k" * 61), ("wrapped data key", "LENGTH_DIFFERS")),
    Case(QUARANTINE_KEYS, everywhere("wrapping_key_id", b"0" * 16), ("wrapping_key_id", "NOT_TRACEABLE")),
    Case(QUARANTINE_BLOBS, everywhere("key_id", b"0" * 16), ("key_id", "NOT_TRACEABLE")),
    Case(QUARANTINE_REJECTED, everywhere("key_id", b"0" * 16), ("key_id", "NOT_TRACEABLE")),
    Case(QUARANTINE_REJECTED, everywhere("blob_part", 9), ("blob_part", "NOT_TRACEABLE")),
    Case(DECISION_ITEMS, everywhere("decision", "QUARANTINE"), ("item_id", "NOT_TRACEABLE")),
    Case(RELEASED, put("records", 7), ("what its decision states", "NOT_TRACEABLE")),
    Case(RELEASED, put("suite_hash", "0" * 64), ("what its decision states", "NOT_TRACEABLE")),
    Case(QUARANTINE_REJECTED, put("reason", VALUE), ("reason", "OUTSIDE_SET")),
    Case(ROSTER, put("role", VALUE), ("role", "OUTSIDE_SET")),
    Case(
        ROSTER,
        put("subjects", [{"type": "email", "pseudonym": "ada@example.com"}]),
        ("subjects.list.element.pseudonym", "NOT_A_PSEUDONYM"),
    ),
    Case(RELEASED, put("decision_id", "0" * 32), ("decision_id", "NOT_TRACEABLE")),
    Case(RELEASED, put("item_id", "0" * 32), ("item_id", "NOT_TRACEABLE")),
    Case(RELEASED, put("record_ids", ["r1"]), ("what its decision states", "NOT_TRACEABLE")),
    Case(RELEASED, put("terms", []), ("what its decision states", "NOT_TRACEABLE")),
    Case(RELEASED, put("purpose", "marketing"), ("what its decision states", "NOT_TRACEABLE")),
    Case(RELEASED, put("policy_hash", "0" * 64), ("policy_hash", "NOT_TRACEABLE")),
    Case(RELEASED, put("reasons", ["MINOR"]), ("reasons", "REASON_STATED")),
    Case(RELEASED, put("decision", "QUARANTINE"), ("decision", "OUTSIDE_SET")),
    Case(DECISION_CLASSES, put("decision", "QUARANTINE"), ("decision_id", "NOT_TRACEABLE")),
    Case(LEDGER, put("records", 1000), ("records and rows", "DOES_NOT_ADD_UP")),
]


class PlainJudge(WrittenJudge):
    """Reads the rules itself: what is tested here is what reaches the judge."""

    def failing(self, rule, values):  # type: ignore[no-untyped-def]
        return frozenset(at for at, value in enumerate(values) if not rule.is_met_by(value))

    def failing_sets(self, asked):  # type: ignore[no-untyped-def]
        return {rule: self.failing(rule, values) for rule, values in asked.items()}  # type: ignore[no-untyped-call]


def changed(world: World, folder: Path, cases: Sequence[Case]) -> Store:
    """A copy of the world's store in which files say something else."""
    shutil.copytree(world.store, folder)
    store = Store.open(folder)
    for case in cases:
        record = max(store.files(case.table), key=lambda each: each.rows)
        path = folder / record.path
        pq.write_table(case.change(pq.ParquetFile(path).read()), path)
    return store


LATER = {
    QUARANTINE_ITEMS: ("derived_from", "piece_join"),
    QUARANTINE_BLOBS: ("sender",),
    DECISION_CLASSES: ("roster_doubts",),
    CHAT: ("visibility", "message_id"),
}
"""Columns that were declared after the first files of a table were written."""


def test_files_from_before_a_column_was_declared_are_sound(
    world: World, contracts: list[ContractSet], tmp_path: Path
) -> None:
    cases = [Case(table, drop(name), ("", "")) for table, names in LATER.items() for name in names]
    checks = validate_written(changed(world, tmp_path / "S", cases), contracts, PlainJudge())
    assert [one for one in checks.violations if one.column == "(columns)"] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.table} {case.found[0]} {case.found[1]}")
def test_a_change_of_a_written_file_is_found(
    case: Case, world: World, contracts: list[ContractSet], tmp_path: Path
) -> None:
    checks = validate_written(changed(world, tmp_path / "S", [case]), contracts, PlainJudge())
    found = {(one.column, one.code): one.rows for one in checks.violations}
    assert case.found in found
    assert found[case.found] >= 1
    assert not checks.holds


def test_great_expectations_finds_the_changes_and_says_no_value(
    world: World, contracts: list[ContractSet], tmp_path: Path, judge: WrittenJudge
) -> None:
    by_table = {case.table: case for case in reversed(CASES)}
    store = changed(world, tmp_path / "S", list(by_table.values()))
    checks = validate_written(store, contracts, judge)
    found = {(one.column, one.code) for one in checks.violations}
    assert {case.found for case in by_table.values()} <= found
    said = json.dumps(checks.as_json())
    assert VALUE not in said
    assert json.loads(said)["totals"]["failed"] == checks.total("failed") > 8


def test_a_file_that_is_gone_or_no_parquet_is_counted(
    world: World, contracts: list[ContractSet], tmp_path: Path
) -> None:
    shutil.copytree(world.store, tmp_path / "S")
    store = Store.open(tmp_path / "S")
    (tmp_path / "S" / store.files(CHAT)[0].path).unlink()
    (tmp_path / "S" / store.files(ROSTER)[0].path).write_bytes(b"PAR1 no more")
    checks = validate_written(store, contracts, PlainJudge())
    unread = {one.table for one in checks.violations if one.code == "FILE_NOT_READABLE"}
    assert unread == {CHAT, ROSTER}


def test_rows_of_a_contract_that_is_not_given_are_not_passed(
    world: World, contracts: list[ContractSet]
) -> None:
    own = contracts[0]
    fewer_contracts = type(own)(tuple(entry for entry in own.contracts if entry.source != "zoom"))
    with pytest.raises(ConfigurationError, match=r"CONTRACT_NOT_FOUND: .*zoom-participant@"):
        validate_written(Store.open(world.store), [fewer_contracts], PlainJudge())


def test_the_contracts_of_a_store_are_known_from_its_runs(world: World, contracts: list[ContractSet]) -> None:
    labels = {shape.contract_label for shape in contracts[0].shapes}
    assert recorded_contracts(Store.open(world.store).snapshot) == labels
