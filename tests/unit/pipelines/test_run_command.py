"""``cofferdam run``: what it asks for, what it prints, and how it ends."""

from __future__ import annotations

import json
import math
import shutil
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import pipelines.run_ingest as run_ingest_module
from pipelines.run_command import _exit_code, _since, run
from pipelines.run_ingest import IngestRequest
from schemas.contract import bundled_contract_files
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from tests.unit.pipelines.ledger_samples import LEDGER
from tests.unit.transforms.separator_samples import key_folder
from transforms.store import Store

GOOD = (
    b'{"event":"meeting.started","event_ts":1767604800000,'
    b'"payload":{"account_id":"a","object":{"uuid":"m"}}}\n'
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(run, list(arguments))


def required(tmp_path: Path) -> list[str]:
    return [
        "--input",
        str(tmp_path / "in.jsonl"),
        "--store",
        str(tmp_path / "S"),
        "--keys",
        str(key_folder() / "ingest"),
    ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[IngestRequest]:
    """What the command asks for; the ledger it gets back is a sample."""
    requests: list[IngestRequest] = []

    def answer(request: IngestRequest, *, show_progress: bool) -> dict[str, Any]:
        requests.append(request)
        return LEDGER

    monkeypatch.setattr(run_ingest_module, "run_ingest", answer)
    return requests


# A real run.


def test_a_folder_of_contracts_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD)
    (tmp_path / "contracts").mkdir()
    refused = invoke(*required(tmp_path), "--contracts", str(tmp_path / "contracts"))
    assert (refused.exit_code, "NO_CONTRACTS" in refused.stderr) == (2, True)
    for file in bundled_contract_files():
        shutil.copy(file, tmp_path / "contracts")
    result = invoke(*required(tmp_path), "--contracts", str(tmp_path / "contracts"), "--json")
    assert (result.exit_code, json.loads(result.stdout)["outcomes"]) == (0, {"separated": 1}), result.output


def test_a_run_separates_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD + b"no json\n")
    result = invoke(*required(tmp_path), "--json", "--max-held-ratio", "0.5")
    assert result.exit_code == 0, result.output
    ledger = json.loads(result.stdout)
    assert ledger["outcomes"] == {"rejected": 1, "separated": 1}
    assert ledger["seconds"] > 0
    assert ledger["cpu_seconds"] > 0
    assert Store.open(str(tmp_path / "S")).read_table("telemetry/zoom_meeting").num_rows == 1

    again = invoke(*required(tmp_path))
    assert again.exit_code == 0, again.output
    assert "duplicate" in again.stdout
    assert "2 records read" in again.stdout


def test_the_ledger_in_json_has_one_shape(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD.replace(b'"a"', b'"a","new":1') + GOOD.replace(b'"m"', b"[]"))
    ledger = json.loads(invoke(*required(tmp_path), "--json").stdout)
    numbers = {"bytes_read", "records", "seconds", "cpu_seconds"}
    assert all(ledger[name] >= 0 for name in numbers)
    assert all(isinstance(ledger[name], str) for name in ("run_id", "received", "version"))
    assert all(
        isinstance(number, int) for name in ("outcomes", "items", "rows") for number in ledger[name].values()
    )
    rows = {name: set(ledger[name][0]) for name in ("by_type", "drift", "misfits")}
    assert rows == {
        "by_type": {"source", "event_type", "outcome", "reason", "records"},
        "drift": {"source", "table", "parent", "json_type", "name_digest", "values"},
        "misfits": {"table", "field", "values"},
    }
    assert ledger["dropped"] == ledger["reconciliation"]["findings"] == []
    assert ledger["reconciliation"]["read"] == ledger["reconciliation"]["outcomes"]


def test_too_much_held_is_exit_code_4_after_the_commit(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD + b"Anna said no json\n")
    result = invoke(*required(tmp_path))
    assert result.exit_code == 4
    assert "1 of 2 records are held" in result.stderr
    assert "Anna" not in result.output
    assert len(Store.open(str(tmp_path / "S")).snapshot.manifests) == 1


@pytest.mark.parametrize(
    ("change", "code", "exit_code"),
    [
        (("--input", "{tmp}/nothing/*.jsonl"), "INPUT_NOT_FOUND", 2),
        (("--keys", "{tmp}/no-keys"), "KEYS_MISSING", 3),
        (("--contracts", "{tmp}/none.yaml"), "NO_CONTRACTS", 2),
        (("--store", "{tmp}"), "STORE_NOT_EMPTY", 2),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_read(
    tmp_path: Path, change: tuple[str, str], code: str, exit_code: int
) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD)
    arguments = required(tmp_path)
    name, value = change
    if name in arguments:
        arguments[arguments.index(name) + 1] = value.format(tmp=tmp_path)
    else:
        arguments += [name, value.format(tmp=tmp_path)]
    result = invoke(*arguments)
    assert result.exit_code == exit_code, result.output
    assert code in result.stderr
    assert "Traceback" not in result.output


# What it asks for.


def test_options_reach_the_request(tmp_path: Path, asked: list[IngestRequest]) -> None:
    extra = ["--source", "zoom", "--record-cap", "2048", "--split-bytes", "8192", "--input", "more/*.gz"]
    beam = ["--parallelism", "2", "--runner=FlinkRunner"]
    contract = bundled_contract_files()[0]
    assert invoke(*required(tmp_path), *extra, "--contracts", str(contract), *beam).exit_code == 0
    (request,) = asked
    assert request.patterns == (str(tmp_path / "in.jsonl"), "more/*.gz")
    assert (request.store, request.keys) == (str(tmp_path / "S"), key_folder() / "ingest")
    assert (request.source, request.record_cap, request.split_bytes) == ("zoom", 2048, 8192)
    assert request.contract_files == (contract,)
    assert request.beam_arguments == tuple(beam)
    assert request.digest_since is None


def test_the_defaults_are_those_of_the_help(tmp_path: Path, asked: list[IngestRequest]) -> None:
    assert invoke(*required(tmp_path), "--digest-days", "3").exit_code == 0
    (request,) = asked
    assert (request.source, request.record_cap, request.split_bytes) == ("auto", 16 << 20, 64 << 20)
    assert (request.contract_files, request.beam_arguments) == ((), ())
    assert request.digest_since is not None
    assert (request.received - request.digest_since).days == 3


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--max-held-ratio", "1.1"], ["--max-held-ratio", "-0.1"], ["--record-cap", "1023"]),
        *(["--max-held-ratio", "nan"], ["--max-held-ratio", "inf"], ["--max-held-ratio", "5%"]),
        *(["--split-bytes", "4095"], ["--digest-days", "0"], ["--source", "teams"]),
    ],
)
def test_values_out_of_range_are_usage_errors(
    tmp_path: Path, asked: list[IngestRequest], arguments: list[str]
) -> None:
    assert invoke(*required(tmp_path), *arguments).exit_code == 2
    assert asked == []


@pytest.mark.parametrize("missing", ["--input", "--store", "--keys"])
def test_what_is_required_is_asked_for(tmp_path: Path, asked: list[IngestRequest], missing: str) -> None:
    arguments = required(tmp_path)
    at = arguments.index(missing)
    result = invoke(*arguments[:at], *arguments[at + 2 :])
    assert result.exit_code == 2
    assert missing in result.stderr
    assert asked == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--jsn"], "UNKNOWN_OPTION"),
        (["--direct_num_worker", "2"], "UNKNOWN_OPTION"),
        (["--direct_running_mode", "bogus"], "BEAM_OPTION_INVALID"),
        (["--runner", "NoSuchRunner"], "RUNNER_UNKNOWN"),
        (["--streaming", "second.jsonl"], "UNEXPECTED_VALUE"),
        (["--maxheldratio", "0.5"], "UNKNOWN_OPTION"),
        (["--max_held_ratio", "0.5"], "UNKNOWN_OPTION"),
        (["--max_held_ratio=0.5"], "UNKNOWN_OPTION"),
        (["-x"], "UNKNOWN_OPTION"),
        (["second.jsonl"], "UNEXPECTED_VALUE"),
        (["--runner", "FlinkRunner", "second.jsonl"], "UNEXPECTED_VALUE"),
        (["--runner=FlinkRunner", "second.jsonl"], "UNEXPECTED_VALUE"),
    ],
)
def test_what_nobody_would_read_is_refused(
    tmp_path: Path, asked: list[IngestRequest], arguments: list[str], code: str
) -> None:
    # A pattern that the shell spelt out leaves all files but the first to Beam, which would ignore them.
    result = invoke(*required(tmp_path), *arguments)
    assert result.exit_code == 2
    assert code in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert asked == []
    assert not (tmp_path / "S").exists()


# How it ends.


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (PromiseBroken("RUN_DOES_NOT_RECONCILE", "x"), 1),
        (ConfigurationError("NO_INPUT", "x"), 2),
        (InfrastructureFault("STORE_LOCKED", "x"), 3),
    ],
)
def test_errors_end_with_their_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, exit_code: int
) -> None:
    def fail(*_: Any, **__: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(run_ingest_module, "run_ingest", fail)
    result = invoke(*required(tmp_path))
    assert result.exit_code == exit_code
    assert str(error) in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("rejected", "unknown", "ratio", "code"),
    [(0, 0, 0.0, 0), (1, 0, 0.0, 4), (0, 1, 0.0, 4), (3, 2, 0.05, 0), (3, 3, 0.05, 4), (100, 0, 1.0, 0)],
)
def test_the_held_ratio_is_a_bound_that_may_be_reached(
    rejected: int, unknown: int, ratio: float, code: int
) -> None:
    ledger = {"records": 100, "outcomes": {"rejected": rejected, "unknown": unknown, "duplicate": 1}}
    assert _exit_code(ledger, ratio) == code


@given(records=st.integers(1, 10**7), share=st.fractions(0, 1))
def test_the_bound_is_exact(records: int, share: Fraction) -> None:
    held = int(records * share)
    ledger = {"records": records, "outcomes": {"rejected": held}}
    assert _exit_code(ledger, held / records) == 0
    assert not held or _exit_code(ledger, math.nextafter(held / records, 0)) == 4


def test_a_share_in_hundredths_may_be_reached() -> None:
    for held in range(101):
        ledger = {"records": 100, "outcomes": {"unknown": held}}
        assert _exit_code(ledger, float(f"0.{held:02d}") if held < 100 else 1.0) == 0


def test_a_run_of_nothing_holds_nothing() -> None:
    assert _exit_code({"records": 0, "outcomes": {}}, 0.0) == 0


def test_days_are_counted_back_from_today() -> None:
    assert _since(date(2026, 3, 2), 2) == date(2026, 2, 28)
    assert _since(date(2026, 3, 2), None) is None
