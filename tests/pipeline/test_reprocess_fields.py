"""A store that is reprocessed holds what it would hold, had the mended contract been there from the start."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.tables import OPENINGS, ROSTER
from tests.pipeline.reprocess_world import (
    Chance,
    claims,
    poor_contract,
    reprocess,
    rows_by_event,
    sealed,
    write_contract,
)
from tests.pipeline.support import ingest, lines_file, row_counts
from transforms.store import Store

TABLES = ("telemetry/visits", "telemetry/visits__files", "telemetry/visits__files_marks")


class Both(NamedTuple):
    """A store that was reprocessed, one that was written under the mended contract, and what was told."""

    mended: Path
    direct: Path
    keys: Path
    contracts: Path
    ledger: dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Both:
    """Random events, many of which fit neither contract."""
    folder = tmp_path_factory.mktemp("fields")
    rich, poor = write_contract(folder / "rich"), poor_contract(folder / "poor")
    source = lines_file(folder / "events.jsonl", Chance(7).events(250))
    mended, direct = folder / "mended", folder / "direct"
    ingest(source, mended, keys, contract_files=(poor,))
    ingest(source, direct, keys, contract_files=(rich,))
    return Both(mended, direct, keys, rich, reprocess(mended, keys, rich))


@pytest.mark.parametrize("table", [*TABLES[:2], ROSTER])
def test_rows_are_those_of_the_mended_contract(both: Both, table: str) -> None:
    mended, direct = rows_by_event(both.mended, table), rows_by_event(both.direct, table)
    assert mended == direct
    assert len(direct) > 50


def test_rows_of_an_array_in_an_array_are_there_where_they_say_anything(both: Both) -> None:
    def told(store: Path) -> Counter[str]:
        rows = [row for group in rows_by_event(store, TABLES[2]).values() for row in group]
        return Counter(repr(row) for row in rows if row["at"] is not None)

    assert told(both.mended) == told(both.direct)
    assert told(both.direct)


def test_content_is_sealed_under_its_kind(both: Both) -> None:
    mended, direct = sealed(both.mended, both.keys), sealed(both.direct, both.keys)
    mended.pop("unclassified")
    direct.pop("unclassified")
    assert mended == direct
    assert {"chat", "video", "identity", "secret"} <= direct.keys()


def test_what_no_field_takes_stays_sealed(both: Both) -> None:
    """In the form in which it came: under the mended contract it would stand under its field's own path."""
    mended = sealed(both.mended, both.keys)["unclassified"]
    assert mended["data", b'{"region":"mars"}'] > 0
    assert (
        mended["data", b'{"new":1}'] == sealed(both.direct, both.keys)["unclassified"]["data", b'{"new":1}']
    )
    assert not [path for path, raw in mended if raw == b'{"text":"hello"}']


def test_claims_are_those_of_the_mended_contract(both: Both) -> None:
    """Also where a claim cannot be read: a no that nobody understands is a no."""
    mended, direct = claims(both.mended), claims(both.direct)
    assert {key: mended[key] for key in direct if key in mended} == {
        key: told for key, told in direct.items() if key in mended
    }
    assert any("'refuses': True" in row for rows in direct.values() for row in rows)


def test_it_adds_up_and_tells_by_field(both: Both) -> None:
    ledger = both.ledger
    assert ledger["reconciliation"]["findings"] == []
    told = {(row["field"], row["outcome"], row["lane"]) for row in ledger["values"]}
    assert {
        ("data.count", "telemetry", "service"),
        ("data.friends", "telemetry", "metadata"),
        ("data.text", "sealed chat", "content"),
        ("data.passcode", "dropped", "content"),
        ("data", "stays", "content"),
    } <= told
    assert {row["reason"] for row in ledger["values"] if row["outcome"] == "stays"} <= {
        "STILL_UNKNOWN",
        "DOES_NOT_FIT",
        "PLACE_UNCLEAR",
        "ENVELOPE_FIELD",
    }


def test_a_second_time_changes_nothing_but_the_record_of_openings(both: Both) -> None:
    before = row_counts(both.mended)
    live = set(Store.open(both.mended).snapshot.live)
    ledger = reprocess(both.mended, both.keys, both.contracts)
    after = row_counts(both.mended)
    assert {table for table in after if after[table] != before.get(table)} == {OPENINGS}
    gone = live - set(Store.open(both.mended).snapshot.live)
    assert (gone, ledger["outcomes"].get("moved"), ledger["rewritten"]) == (set(), None, 0)
