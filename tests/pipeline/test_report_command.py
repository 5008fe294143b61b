"""The report command: what it prints and writes, what it refuses, and reports that cannot be made again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.report_command import report as command
from pipelines.report_decided import telemetry_out
from schemas.tables import FIXED_TABLES, TELEMETRY_EXPORTS
from tests.pipeline.release_world import World, meeting
from transforms.keys import create_key_directory, load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.report_view import Period, StoreView
from transforms.store import Store

AS_OF = "2026-04-01T00:00:00Z"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A store into which a run has written, and from which nothing was released."""
    from datetime import date

    folder = tmp_path_factory.mktemp("command")
    create_key_directory(folder / "keys", created=date(2026, 3, 2))
    world = World(folder, folder / "keys")
    world.ingest(meeting(["ann", "ben"]))
    return world


def report(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_store_without_a_release_has_a_report_in_every_form(world: World, tmp_path: Path) -> None:
    for form in ("html", "json", "csv"):
        file = tmp_path / "deeper" / f"report.{form}"
        result = report("--store", world.store, "--registry", world.registry, "--as-of", AS_OF, "--out", file)
        assert result.exit_code == 0, result.output
        assert f"Written: {file}" in result.output
        assert file.stat().st_size > 1000
    assert "No release has decided" in (tmp_path / "deeper" / "report.html").read_text()


def test_without_a_file_a_summary_or_the_report_is_printed(world: World) -> None:
    told = report("--store", world.store, "--as-of", AS_OF)
    assert "Released without a complete set of valid consents: 0 of 0 items" in told.output
    printed = report("--store", world.store, "--as-of", AS_OF, "--json")
    assert json.loads(printed.output)["format"] == "cofferdam-report/1"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "--store"),
        (("--as-of", "yesterday"), 2, "REPORT_TIME"),
        (("--period", "2026"), 2, "REPORT_PERIOD"),
        (("--period", "/"), 2, "REPORT_PERIOD"),
        (("--period", f"{AS_OF}/{AS_OF}"), 2, "REPORT_PERIOD"),
        (("--record", "--format", "html"), 2, "--format json"),
        (("--registry", "nowhere"), 3, "REGISTRY"),
        (("--keys", "nowhere"), 3, "KEYS"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], code: int, says: str, world: World, tmp_path: Path
) -> None:
    given = ("--store", world.store, *arguments) if arguments else ("--as-of", AS_OF)
    result = report(*given)
    assert result.exit_code == code, result.output
    assert says in result.output


def test_a_store_in_which_nothing_was_committed_has_no_report(tmp_path: Path) -> None:
    Store.open_or_create(tmp_path / "empty")
    result = report("--store", tmp_path / "empty")
    assert (result.exit_code, "REPORT_EMPTY_STORE" in result.output) == (2, True)


def test_a_file_that_cannot_be_written_is_said(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = report("--store", world.store, "--as-of", AS_OF, "--out", tmp_path / "file" / "report.csv")
    assert result.exit_code == 3
    assert "REPORT_NOT_WRITTEN" in result.output


def test_a_run_is_in_the_period_in_which_it_began() -> None:
    from datetime import UTC, datetime

    def day(number: int) -> datetime:
        return datetime(2026, 3, number, tzinfo=UTC)

    run = "20260302t030405z-1f0c"
    assert Period(day(2), day(3)).holds(run)
    assert Period(None, None).holds(run)
    assert not Period(day(3), None).holds(run)
    assert not Period(None, day(2)).holds(run)
    assert Period(day(3), day(4)).holds("run-of-another-form")


def test_a_report_whose_files_are_gone_holds_if_the_log_names_it(world: World, tmp_path: Path) -> None:
    store, kept = tmp_path / "store", tmp_path / "kept.json"
    shutil.copytree(world.store, store)
    made = report("--store", store, "--as-of", AS_OF, "--format", "json", "--record", "--out", kept)
    assert made.exit_code == 0, made.output
    rewrite(store, world.keys)
    merged = CliRunner().invoke(
        cli, ["audit", "merge", "--store", str(store), "--keys", str(world.keys / "ingest")]
    )
    assert merged.exit_code == 0, merged.output
    named = report("verify", "--store", store, kept)
    assert named.exit_code == 0, named.output
    assert "names it, byte for byte" in named.output
    kept.write_bytes(kept.read_bytes().replace(b'"records": 9', b'"records": 8') + b" ")
    changed = report("verify", "--store", store, kept)
    assert changed.exit_code == 3
    assert "REPORT_FILES_GONE" in changed.output


def test_a_figure_that_stands_twice_is_refused(world: World, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report("--store", world.store, "--as-of", AS_OF, "--out", file)
    content = file.read_text()
    members = list(re.finditer(r'"(\w+)": ', content))
    assert report("verify", "--store", world.store, file).exit_code == 0
    for member in members[:: len(members) // 25]:
        file.write_text(f"{content[: member.start()]}{member[0]}99, {content[member.start() :]}")
        result = report("verify", "--store", world.store, file)
        assert (result.exit_code, "REPORT_MALFORMED" in result.output) == (1, True), member[1]


def rewrite(folder: Path, keys: Path) -> None:
    """Take a file out of the store, as an erasure does."""
    store = Store.open(folder, seal_of(load_ingest_keys(keys / "ingest")))
    path = next(path for path, record in store.snapshot.live.items() if record.table.startswith("telemetry/"))
    store.commit("20260402t000000z-erasure", [], {"kind": "erasure"}, [path])


def test_telemetry_that_was_taken_out_is_told_by_purpose(world: World, tmp_path: Path) -> None:
    folder, run = tmp_path / "store", "20260402t000000z-taken-out"
    shutil.copytree(world.store, folder)
    store = Store.open(folder, seal_of(load_ingest_keys(world.keys / "ingest")))
    schema = FIXED_TABLES[TELEMETRY_EXPORTS]
    known = {"run_id": run, "purpose": "ai_training", "recipient": "processor"}
    rows = [{**known, "table": f"telemetry/{name}", "rows": 3} for name in ("b", "a")]
    with store.writer(run, TELEMETRY_EXPORTS) as writer:
        writer.append(pa.Table.from_pylist(rows, schema=schema))
        store.commit(run, writer.close(), {"kind": "telemetry_export"})
    (told,) = telemetry_out(StoreView(str(folder), Period()))
    assert (told.purpose, told.recipient, told.exports, told.rows) == ("ai_training", "processor", 1, 6)
    assert told.tables == ["telemetry/a", "telemetry/b"]
