"""Canaries: tokens in every place of every event type are found nowhere but in what is sealed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.classification import Protection
from schemas.contract import load_contracts
from schemas.telemetry import telemetry_tables
from tests.pipeline.support import Ledger, Opened, ingest, lines_file, opened
from tests.pipeline.support_populate import Plan, Planted, Populator
from tests.pipeline.support_search import Canaries, everything_written, leaks, tokens_in
from transforms.store import Store

DIGEST_ONLY = ("id", "source")
"""The event's id and the source that it is unique in are kept as a keyed digest alone."""


@dataclass
class Planting:
    """A run over planted events, and all that it left behind."""

    plan: Plan
    ledger: Ledger
    store: Path
    said: bytes
    inside: Opened

    def words_at(self, table: str, path: tuple[str, ...]) -> int:
        """How many words were planted in a field."""
        found = self.plan.planted.values()
        return sum(
            where.table == table
            and where.way == "word"
            and where.entry is not None
            and where.entry.path == path
            for where in found
        )


@pytest.fixture(scope="module")
def planting(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Planting:
    folder = tmp_path_factory.mktemp("planting")
    plan = Populator(Canaries()).populate(load_contracts())
    said = _Listener()
    loggers = [logging.getLogger(), logging.getLogger("apache_beam")]  # which commands have silenced
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(said)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        ledger = ingest(lines_file(folder / "in.jsonl", plan.events), folder / "S", keys)
    finally:
        loggers[0].removeHandler(said)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    return Planting(plan, ledger, folder / "S", "\n".join(said.lines).encode(), opened(folder / "S", keys))


class _Listener(logging.Handler):
    """Keeps all that is logged, at any level, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def test_every_planted_event_is_taken_apart(planting: Planting) -> None:
    assert planting.ledger["outcomes"] == {"separated": len(planting.plan.events)}


def test_no_canary_is_in_anything_that_a_run_writes(planting: Planting) -> None:
    assert leaks(everything_written(planting.store)) == []


def test_no_canary_is_in_what_a_run_logs(planting: Planting) -> None:
    assert planting.said
    assert leaks([("log", planting.said)]) == []


def test_every_canary_is_sealed_unless_its_contract_drops_it_or_makes_a_pseudonym_of_it(
    planting: Planting,
) -> None:
    sealed = tokens_in(planting.inside.everything())
    missing = {token: where for token, where in planting.plan.planted.items() if token not in sealed}
    assert not sealed - planting.plan.planted.keys()
    wrong = sorted({_describe(where) for where in missing.values() if not _may_be_missing(where)})
    assert wrong == []


def _may_be_missing(where: Planted) -> bool:
    if where.entry is None:
        return False
    if where.entry.dotted in DIGEST_ONLY:
        return where.scalar
    if where.entry.protection is Protection.PSEUDONYM:
        return where.scalar
    return where.entry.protection is Protection.DROP


def _describe(where: Planted) -> str:
    entry = where.entry
    place = "(no field)" if entry is None else f"{entry.dotted} {entry.classification} {entry.protection}"
    return f"{where.way}: {where.table} {place}"


def test_what_a_contract_drops_is_counted(planting: Planting) -> None:
    counted = {(row["table"], row["field"]): row["values"] for row in planting.ledger["dropped"]}
    assert planting.plan.dropped
    assert counted == planting.plan.dropped


def test_a_canary_in_an_enumerated_or_patterned_field_is_sealed_as_unclassified(planting: Planting) -> None:
    kept = {
        token
        for token, where in planting.plan.planted.items()
        if where.entry is not None
        and where.entry.protection is Protection.KEEP
        and where.entry.dotted not in DIGEST_ONLY
    }
    parts = planting.inside.parts_of_kind("unclassified")
    unclassified = tokens_in(b"\n".join(raw for _, raw in parts))
    passed = {planting.plan.planted[token].entry for token in kept - unclassified}
    assert len(kept) > 1000
    assert sorted(entry.dotted for entry in passed if entry is not None) == []


def test_every_value_of_which_a_pseudonym_is_made_has_one_of_its_own(planting: Planting) -> None:
    store = Store.open(planting.store)
    names = store.tables()
    short = []
    for shape in load_contracts().shapes:
        tables = [table for table in telemetry_tables(shape) if table.name in names]
        pseudonyms = {
            entry.path: store.read_table(table.name, [entry.column or ""])
            for table in tables
            for entry in table.columns
            if entry.protection is Protection.PSEUDONYM and not entry.is_list
        }
        for path, column in pseudonyms.items():
            words = planting.words_at(shape.table, path)
            if len(set(column.column(0).to_pylist()) - {None}) < words or not words:
                short.append((shape.table, path))
    assert short == []
