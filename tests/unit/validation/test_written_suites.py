"""Suites over what was written: each column has every rule that its contract or its table promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest

from schemas.classification import Protection
from schemas.contract import ContractSet, Field, load_contracts
from schemas.tables import FILTERS, FIXED_TABLES, leaves
from schemas.telemetry import all_telemetry_tables
from validation.policy import canonical_hash
from validation.written_rules import Rule, Value, ascii_only
from validation.written_suites import NAMES, TableSuite, suites_hash, telemetry_suites
from validation.written_tables import StoreWords, table_suites, words_of

WORDS = StoreWords(
    event_types=frozenset({"meeting.started"}),
    contracts=frozenset({"zoom-meeting@1.0.0"}),
    identifier_types=frozenset({"email"}),
    roles={"region": frozenset({"eu"}), "channel": frozenset({"app"}), "role": frozenset({"host"})},
    purposes=frozenset({"ai_training"}),
    reasons=frozenset({"NOT_JSON"}),
    schemes=frozenset({"sealed@v1"}),
)
RULES_HASH = "79020fec45320dd0621ad293c8e24fcb492b51b9d73aeb8cd3a0d8e726a3a518"


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts()


@pytest.fixture(scope="module")
def suites(contracts: ContractSet) -> dict[tuple[str, str], TableSuite]:
    return telemetry_suites(contracts)


def wrong_values(entry: Field) -> Iterator[Value]:
    """Values, as a rule reads them, that must not stand in a field's column, worked out from the contract."""
    if entry.cut is not None or (entry.protection is Protection.KEEP and entry.values is not None):
        yield "not one of them"
        yield 987_654_321
    elif entry.protection is Protection.TRUNCATE_IP:
        yield from ("203.0.113.7", "203.0.113.7/32", "2001:db8::1", "10.0.0.0/24 ")
    elif entry.protection is not Protection.KEEP:
        yield from ("ada@example.com/15", "16778240/8")
    elif entry.maximum is not None and entry.logical_type != "timestamp":
        yield entry.maximum + 1
        yield (entry.minimum or 0) - 1
    elif entry.pattern is not None:
        yield "She said that we should wait"
        yield (entry.max_length or 0) + 1
        yield "\n"


def test_no_wrong_value_meets_all_rules_of_its_column(
    contracts: ContractSet, suites: dict[tuple[str, str], TableSuite]
) -> None:
    passed, tried = [], 0
    for table in all_telemetry_tables(contracts).values():
        (suite,) = [suite for (name, _), suite in suites.items() if name == table.name]
        for entry in table.columns:
            path = f"{entry.column}.list.element" if entry.is_list else str(entry.column)
            for value in wrong_values(entry):
                tried += 1
                if all(rule.is_met_by(value) for rule in suite.rules[path]):
                    passed.append((table.name, path))
    assert tried > 2000
    assert passed == []


def codes(rules: tuple[Rule, ...]) -> set[str]:
    return {rule.code for rule in rules}


def test_each_kind_of_column_has_its_rules(
    contracts: ContractSet, suites: dict[tuple[str, str], TableSuite]
) -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for table in all_telemetry_tables(contracts).values():
        (suite,) = [suite for (name, _), suite in suites.items() if name == table.name]
        for entry in table.columns:
            path = f"{entry.column}.list.element" if entry.is_list else str(entry.column)
            kind = str(suite.schema.field(entry.column).type)
            found.setdefault(kind, set()).add(frozenset(codes(suite.rules[path])))
    words, shape = frozenset({"OUTSIDE_SET"}), frozenset({"NOT_A_PSEUDONYM"})
    pattern, network = frozenset({"LENGTH", "PATTERN"}), frozenset({"NOT_A_NETWORK"})
    assert found == {
        "string": {words, shape, pattern, network},
        "list<element: string>": {words, shape, pattern},
        "bool": {words},
        "int64": {words, frozenset({"OUT_OF_RANGE"})},
        "double": {frozenset({"OUT_OF_RANGE", "NOT_FINITE"})},
        "timestamp[ms, tz=UTC]": {frozenset({"OUT_OF_RANGE"})},
    }


def test_every_leaf_of_every_telemetry_table_has_rules(suites: dict[tuple[str, str], TableSuite]) -> None:
    for suite in suites.values():
        assert set(suite.rules) == {path for path, _ in leaves(suite.schema)}
        assert all(suite.rules.values())


STANDARD = {
    "event_id": {"VALUE_MISSING", "NOT_A_PSEUDONYM"},
    "event_type": {"VALUE_MISSING", "OUTSIDE_SET"},
    "event_time": {"OUT_OF_RANGE"},
    "tenant": {"NOT_A_PSEUDONYM"},
    "meeting": {"NOT_A_PSEUDONYM"},
    "participant": {"NOT_A_PSEUDONYM"},
    "source": {"VALUE_MISSING", "OUTSIDE_SET"},
    "contract": {"VALUE_MISSING", "OUTSIDE_SET"},
    "position": {"VALUE_MISSING", "OUT_OF_RANGE"},
}


def test_the_columns_that_every_table_begins_with_have_rules(
    suites: dict[tuple[str, str], TableSuite],
) -> None:
    for suite in suites.values():
        standard = {name: codes(suite.rules[name]) for name in STANDARD if name in suite.rules}
        expected = {name: STANDARD[name] for name in STANDARD if name != "position" or "__" in suite.table}
        assert standard == expected


def test_each_suite_judges_the_names_of_columns(suites: dict[tuple[str, str], TableSuite]) -> None:
    for suite in [*suites.values(), *table_suites(WORDS).values()]:
        named = [rule.code for path, rule in suite.expectations() if path == NAMES]
        assert named == ["COLUMN_UNKNOWN", "COLUMN_MISSING"]
        assert suite.names_rule.is_met_by(f"{suite.schema[0].name}: {suite.schema[0].type}")
        assert not suite.names_rule.is_met_by("plaintext: string")


def test_every_column_of_the_tables_that_are_judged_has_a_rule_or_a_reason_for_none() -> None:
    suites = table_suites(WORDS)
    assert set(suites) == set(FIXED_TABLES) - {FILTERS}
    for table, suite in suites.items():
        paths = {path for path, _ in leaves(FIXED_TABLES[table])}
        if suite.rules:
            assert set(suite.rules) | suite.free == paths, f"{table}: give each column a rule"
            assert not set(suite.rules) & suite.free
    judged = {table for table, suite in suites.items() if suite.rules}
    assert judged == {
        "quarantine/items",
        "quarantine/blobs",
        "quarantine/keys",
        "quarantine/rejected",
        "roster",
        "signals",
        "released",
    }


def test_the_suites_of_the_tables_are_those_that_are_meant() -> None:
    rules = [
        [table, path, rule.as_json()]
        for table, suite in sorted(table_suites(WORDS).items())
        for path, some in suite.rules.items()
        for rule in some
    ]
    assert len(rules) == 141
    assert canonical_hash(rules) == RULES_HASH, "renew the pin if that is on purpose"


def test_a_rule_less_is_another_suite(suites: dict[tuple[str, str], TableSuite]) -> None:
    suite = next(iter(suites.values()))
    fewer = replace(suite, rules={path: rules[1:] for path, rules in suite.rules.items()})
    assert suites_hash([suite]) != suites_hash([fewer])


def test_the_words_of_a_store_are_those_of_its_contracts(contracts: ContractSet) -> None:
    words = words_of([contracts], ["NOT_JSON"], ["x"])
    assert "meeting.participant_joined" in words.event_types
    assert {"email", "phone", "zoom.user_id"} <= words.identifier_types
    assert words.roles["channel"] == {"app", "web", "dial_in", "room_device", "bot"}
    assert "ai_training" in words.purposes


@pytest.mark.parametrize("pattern", [r"\d{1,3}", r"[\d.]+", r"\\d", r"[^\s\S]", r"\w\s?", r"a\.b", r"[\]\d]"])
def test_classes_are_written_out_as_ascii(pattern: str) -> None:
    written = re.compile(ascii_only(pattern))
    meant = re.compile(pattern, re.ASCII)
    for text in ("1", "12", "a.b", "axb", r"\d", "x y", "x", "\u0661", "ä", "", "]", "4]", "_ "):
        assert bool(written.fullmatch(text)) == bool(meant.fullmatch(text)), text


def test_a_suite_says_which_columns_are_declared(suites: dict[tuple[str, str], TableSuite]) -> None:
    suite = next(iter(suites.values()))
    assert isinstance(suite.schema, pa.Schema)
    assert len(suite.columns) == len(suite.schema)
