from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines.cli import cli
from pipelines.refused_places import if_unchanged, print_places, refused_places
from transforms.sources import input_paths, list_inputs


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("refused")
    keys, store, events = folder / "keys", folder / "store", folder / "events"
    events.mkdir()
    (events / "a.jsonl.gz").write_bytes(gzip.compress(b"no\nno json\nno json either\nnor this\n"))
    (events / "b.json").write_bytes(b'[{"event": "unheard.of"}, {"event": "unheard.of", "n": 1}]')
    runner = CliRunner()
    assert runner.invoke(cli, ["keys", "init", str(keys)]).exit_code == 0
    arguments = ["--input", str(events), "--store", str(store), "--keys", str(keys / "ingest"), "--json"]
    result = runner.invoke(cli, ["run", *arguments, "--max-held-ratio", "1"])
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


def test_a_run_says_where_the_records_stand_that_it_refused(told: tuple[Path, dict[str, object]]) -> None:
    folder, ledger = told
    packed, plain = (str(folder / "events" / name) for name in ("a.jsonl.gz", "b.json"))
    assert ledger["refused"] == [
        {
            "reason": "NOT_JSON",
            "first": [{"file": packed, "offset": offset} for offset in (0, 3, 11)],
            "more": 1,
        },
        {
            "reason": "UNKNOWN_TYPE",
            "first": [{"file": plain, "offset": offset} for offset in (1, 26)],
            "more": 0,
        },
    ]


def test_an_input_that_is_not_known_any_more_is_told_by_its_number(
    told: tuple[Path, dict[str, object]],
) -> None:
    folder, ledger = told
    found = refused_places(folder / "store", str(ledger["run_id"]), [])
    assert {place["file"] for entry in found for place in entry["first"]} == {"file 0", "file 1"}
    assert refused_places(folder / "store", "20260101t000000z-000000000000", []) == []


def test_a_name_does_nothing_to_the_terminal() -> None:
    out = io.StringIO()
    places = [{"reason": "NOT_JSON", "first": [{"file": "\x1b[2J\x9b\n[red]a", "offset": 0}], "more": 0}]
    print_places(places, Console(file=out, width=120))
    assert r"\x1b[2J\x9b\n[red]a" in out.getvalue()


def test_files_that_came_or_went_take_the_names_away(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    before = input_paths([str(tmp_path)])
    assert if_unchanged(before, [str(tmp_path)]) == before
    (tmp_path / "a").touch()
    assert if_unchanged(before, [str(tmp_path)]) == ()
    assert if_unchanged(before, [str(tmp_path / "gone")]) == ()


def test_a_store_that_cannot_be_read_makes_no_run_fail(tmp_path: Path) -> None:
    assert refused_places(tmp_path, "20260101t000000z-000000000000", []) == []


def test_paths_are_in_the_order_in_which_files_are_numbered(told: tuple[Path, dict[str, object]]) -> None:
    patterns = [str(told[0] / "events" / "b*"), str(told[0] / "events")]
    assert input_paths(patterns) == [file.path for file in list_inputs(patterns)]
