"""The governance report of a store: what it counts, that it can be verified, that nothing leaks into it."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.report_build import build_report
from pipelines.report_command import rendered
from pipelines.report_csv import record_csv
from pipelines.report_html import report_html
from pipelines.report_labels import explained
from pipelines.report_verify import Verified, _as_then, compare, verify_report
from schemas.contract import bundled_contract_files
from schemas.tables import (
    CONSENT_RECORDS,
    DECISION_CLASSES,
    DECISION_EXPORTS,
    DECISION_ITEMS,
    RELEASED,
)
from tests.pipeline.release_world import World, meeting
from tests.pipeline.report_world import CANARY, MARKUP, make_world, mark, request
from transforms import report_decisions
from transforms.consent_intake import record_pointer
from transforms.keys import load_ingest_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.report_recount import _masks
from transforms.report_released import ReleasedCheck, check_released
from transforms.report_view import Period, StoreView
from validation.reasons import CATALOGUE
from validation.report_document import Report, broken_promises, read_report, report_json, report_schema
from validation.report_parts import Capped
from validation.report_written import WrittenFault

Json = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(world: World) -> Report:
    return build_report(request(world))


@pytest.fixture
def quick(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take over what the files were validated to be: that takes most of the time, and is tested elsewhere."""
    monkeypatch.setattr("pipelines.report_build.written", lambda view, contracts: report.written)


@pytest.fixture(scope="module")
def grown(world: World, report: Report, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with a copy of its store, in which another run and another release came after the report."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    later = copy.copy(world)
    later.folder = folder
    later.ingest(meeting(["ann", "ben"], "m3", 200), "more.jsonl")
    later.release(as_of="2026-03-13T00:00:00Z")
    return later


def plain(report: Report) -> Json:
    found: Json = json.loads(report_json(report))
    return found


def counts(named: Any) -> dict[str, int]:
    return {one.name: one.count for one in named}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


# --- what it says -------------------------------------------------------------------------------------------


def test_it_meets_its_schema_and_survives_writing(report: Report) -> None:
    jsonschema.Draft202012Validator(report_schema()).validate(plain(report))
    assert read_report(report_json(report)) == report


def test_page_one_counts_what_was_released_anew(report: Report, world: World) -> None:
    first = report.released_without_consent
    assert (first.rows, first.violations) == (len(world.released()), 0) == (4, 0)
    assert first.looked_up
    assert report.written.violations == 0
    assert report.written.rows == report.collected.telemetry_rows > 0
    assert broken_promises(report) == []


def test_it_tells_what_was_held_and_why(report: Report) -> None:
    assert counts(report.decisions.outcomes) == {"ERASE": 4, "QUARANTINE": 3}
    held = {one.reasons[0].code: one for one in report.replay.held}
    assert set(held) >= {"WITHDRAWN"}
    assert all(one.item_id in one.command for one in report.replay.held)
    assert all(one.decision_id in one.command for one in report.replay.commands)


def test_no_item_is_named_of_a_reason_that_leads_few(report: Report) -> None:
    least = report.agreed.minimum
    assert any(one.items < least for one in report.decisions.led)
    assert [one.reason for one in report.decisions.led if (one.example is None) != (one.items < least)] == []
    few = {one.reason for one in report.decisions.led if one.items < least}
    assert not few & {one.reasons[0].code for one in report.replay.held[1:]}


def test_copies_that_a_withdrawal_ends_wait_for_deletion(report: Report) -> None:
    assert (report.releases.copies, report.releases.to_delete) == (4, 4)
    gone = report.withdrawals
    assert (counts(gone.noes), gone.trusted) == ({"withdrawn": 1}, 1)
    assert gone.stop_p50 == gone.stop_max == 24 * 3600
    assert report.agreed.records == 3
    assert counts(report.agreed.by_grantor) == {"subject": 2}


def test_every_commit_is_in_the_log(report: Report) -> None:
    assert [run.kind for run in report.header.runs] == ["ingest", "release", "release"]
    assert all(run.log_entry is not None for run in report.header.runs)
    assert report.log.holds
    assert report.controls.commits_checked == 3


def test_suites_that_judged_nothing_are_not_exercised(report: Report) -> None:
    judged = {one.suite: one.decisions for one in report.controls.suites}
    assert judged["floor of items"] > 0
    assert judged["jurisdiction of items: br"] == 0
    assert "MINOR" in report.controls.not_exercised


def test_the_same_store_gives_the_same_report(report: Report, world: World, quick: None) -> None:
    again = build_report(request(world))
    assert report_json(again) == report_json(report)
    assert report_html(again) == report_html(report)


def test_commands_of_the_report_work(report: Report, world: World) -> None:
    given = {
        "STORE": world.store,
        "KEYS/release": world.keys / "release",
        "CONSENTS": world.consents,
        "REGISTRY": world.registry,
    }
    for command in (report.replay.held[0].command, report.replay.commands[0].command):
        words = [str(given.get(word, word)) for word in command.split()[1:]]
        result = run(*words)
        assert result.exit_code == 0, result.output


def test_a_period_tells_of_its_runs_alone(world: World, quick: None) -> None:
    later = build_report(request(world, period=Period(start=request(world).as_of.replace(year=2200))))
    assert (later.header.runs, later.collected.records, later.decisions.items) == ([], 0, 0)
    assert later.released_without_consent.rows == 4


def test_without_registry_and_keys_it_says_what_is_missing(world: World, quick: None) -> None:
    bare = build_report(request(world, registry=None, keys=None))
    assert bare.header.registry is None
    assert bare.released_without_consent.looked_up is None
    assert bare.processing.registered is False
    assert "made without the registry" in report_html(bare)
    assert record_csv(bare).count("\n") == 1 + len(bare.processing.purposes)


# --- verifying ----------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in inside:
            yield from leaves(each, (*path, name))
    else:
        yield path, value


def replaced(document: Json, path: tuple[Any, ...], value: Any) -> Json:
    """A document with another value at a place of it."""
    inside: Any = document
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return document


def changed(document: Json, path: tuple[Any, ...], value: Any) -> Json:
    return replaced(copy.deepcopy(document), path, value)


def test_every_falsified_leaf_is_found(report: Report) -> None:
    document = msgspec.to_builtins(report)
    stated = copy.deepcopy(document)
    looked = 0
    for path, value in leaves(document):
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"
        found = Verified()
        compare(replaced(stated, path, other), document, found)
        assert found.differences == 1, path
        replaced(stated, path, value)
        looked += 1
    assert looked > 500


REMADE_FROM = {
    *(
        ("header", name)
        for name in ("as_of", "period_from", "period_to", "commits", "registry", "keys_given")
    ),
    ("log", "checkpoint"),
}
"""What a report says that it is made again from; each of them is falsified by itself below."""


def test_a_report_is_made_again_from_nothing_else_that_it_says(report: Report, world: World) -> None:
    document = msgspec.to_builtins(report)
    then = _as_then(report, request(world))
    for path, value in leaves(msgspec.to_builtins(report)):
        if path[:2] not in REMADE_FROM and isinstance(value, int) and not isinstance(value, bool):
            falsified = msgspec.convert(replaced(document, path, value + 1), Report)
            assert _as_then(falsified, request(world)) == then, path
            replaced(document, path, value)


def test_every_falsified_number_of_what_was_written_is_found(report: Report, world: World) -> None:
    document = msgspec.to_builtins(report)
    paths = [
        path
        for path, value in leaves(msgspec.to_builtins(report.written))
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    for path in paths:
        place = ("written", *path)
        replaced(document, place, at(document, place) + 1)
    found = verify_report(msgspec.json.encode(document), request(world))
    assert found.differences == len(paths) > 30


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def test_a_number_left_out_or_added_is_found(report: Report) -> None:
    document = msgspec.to_builtins(report)
    shorter = changed(document, ("collected", "outcomes"), document["collected"]["outcomes"][1:])
    found = Verified()
    compare(shorter, document, found)
    assert found.different == ["collected.outcomes"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("header", "as_of"), "2026-04-02T00:00:00Z"),
        (("header", "period_from"), "2200-01-01T00:00:00Z"),
        (("header", "period_to"), "2020-01-01T00:00:00Z"),
        (("header", "commits"), 2),
        (("header", "registry"), None),
        (("header", "keys_given"), False),
        (("header", "live_days"), 29),
        (("log", "entries"), 1),
        (("collected", "records"), 1),
    ],
)
def test_what_feeds_a_report_is_found_when_it_is_falsified(
    path: tuple[str, str], value: object, report: Report, world: World, tmp_path: Path, quick: None
) -> None:
    document = plain(report)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(changed(document, path, value)))
    result = verified(world, file)
    assert result.exit_code == 1, result.output
    assert "DIFFERS" in result.output or "REPORT_" in result.output


def verified(world: World, file: Path) -> Result:
    sources = ("--store", world.store, "--registry", world.registry, "--keys", world.keys / "ingest")
    return run("report", "verify", *sources, file)


def test_a_report_verifies_and_a_forged_checkpoint_does_not(
    report: Report, world: World, tmp_path: Path, quick: None
) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(report_json(report))
    result = verified(world, file)
    assert result.exit_code == 0, result.output
    assert "Everything is the same." in result.output
    note = report.log.checkpoint
    other = "B" if note[-20] == "A" else "A"
    file.write_text(
        json.dumps(changed(plain(report), ("log", "checkpoint"), note[:-20] + other + note[-19:]))
    )
    assert verified(world, file).exit_code == 1


def test_verifying_says_what_was_computed_part_by_part(
    report: Report, world: World, tmp_path: Path, quick: None
) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(report_json(report))
    told = verified(world, file).output.splitlines()
    parts = {line.split()[0]: line for line in told if line.startswith("  ")}
    document = msgspec.to_builtins(report)
    assert {part for part in document if isinstance(document[part], dict)} - {"replay"} <= set(parts)
    assert parts["collected"].endswith(f"{report.collected.records:,} records, 7 items of content")
    file.write_text(json.dumps(changed(plain(report), ("collected", "records"), 1000)))
    said = f"collected.records: the report says 1,000, the store {report.collected.records}"
    assert f"DIFFERS  {said}" in verified(world, file).output
    file.write_text(json.dumps(changed(plain(report), ("header", "log"), MARKUP)))
    assert "script" not in verified(world, file).output


def test_items_are_counted_a_second_time_one_by_one(
    report: Report, world: World, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """A sum that is wrong whenever it is made is found all the same."""

    def twice(found: Any, row: Json, states: Any) -> None:
        take(found, row, states)
        found.reasons["WITHDRAWN"] += row["items"]
        found.risks["people nobody could identify"] += row["items"]

    take = report_decisions._take_class
    monkeypatch.setattr(report_decisions, "_take_class", twice)
    wrong = build_report(request(world))
    found = verify_report(report_json(wrong), request(world))
    assert found.different == [
        "assessment.risks[6].items",
        *(
            f"decisions.reasons[{at}].items"
            for at, one in enumerate(wrong.decisions.reasons)
            if one.reason.code == "WITHDRAWN"
        ),
    ]
    assert found.recounted > len(report.assessment.risks)


def test_every_reason_has_a_place_of_its_own_in_the_recount() -> None:
    low, high = _masks([[code] for code in CATALOGUE])
    pairs = {(int(one), int(other)) for one, other in zip(low, high, strict=True)}
    assert len(pairs) == len(CATALOGUE)
    assert all(bool(one) != bool(other) for one, other in pairs)


def test_a_page_is_no_report_and_that_is_said(report: Report, world: World, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_html(report))
    result = verified(world, file)
    assert result.exit_code == 1
    assert "REPORT_MALFORMED: this is a page" in result.output
    assert "report.json" in result.output


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": "cofferdam-report/1"}', b"\xff"])
def test_what_is_no_report_is_refused(content: bytes, world: World, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(content)
    result = verified(world, file)
    assert result.exit_code == 1
    assert "REPORT_MALFORMED" in result.output


def test_a_report_holds_when_the_store_has_grown(report: Report, grown: World) -> None:
    found = verify_report(report_json(report), request(grown))
    assert found.holds, found.different


def test_what_was_needed_then_is_asked_for(report: Report, world: World) -> None:
    from schemas.errors import ConfigurationError

    for missing in ("registry", "keys"):
        with pytest.raises(ConfigurationError, match=f"REPORT_NEEDS_{missing.upper()}"):
            verify_report(report_json(report), request(world, **{missing: None}))


# --- broken stores ------------------------------------------------------------------------------------------


@pytest.fixture
def forged(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ReleasedCheck]:
    """Exchange rows of a table, as whoever can write to the store might, and count anew."""
    monkeypatch.setattr("transforms.store_reading.check_size", lambda files, record: None)
    monkeypatch.setattr("transforms.store_reading.check_content", lambda files, record: None)
    store = tmp_path / "store"
    shutil.copytree(world.store, store)

    def forge(table: str, change: Callable[[pa.Table], pa.Table]) -> ReleasedCheck:
        for path in (store / table).rglob("*.parquet"):
            pq.write_table(change(pq.read_table(path, partitioning=None)), path)
        view = StoreView(str(store), Period())
        pseudonyms = join_pseudonyms(load_ingest_keys(world.keys / "ingest"))
        return check_released(view, lambda purpose: False, lambda one: record_pointer(one, pseudonyms))

    return forge


def exchanged(rows: pa.Table, column: str, change: Callable[[Any], Any]) -> pa.Table:
    """Rows with another value in a column."""
    field = rows.schema.field(column)
    values = pa.array([change(value) for value in rows.column(column).to_pylist()], field.type)
    return rows.set_column(rows.schema.get_field_index(column), field, values)


def nobody_agrees(outcomes: Any) -> Any:
    return [{**one, "agrees": False} for one in outcomes]


@pytest.mark.parametrize(
    ("table", "column", "change", "check"),
    [
        (RELEASED, "decision", lambda _: "QUARANTINE", "ROW_IS_NO_RELEASE"),
        (RELEASED, "reasons", lambda _: ["NO_CONSENT"], "ROW_IS_NO_RELEASE"),
        (RELEASED, "decision_id", lambda _: "0" * 32, "NO_SUCH_DECISION"),
        (RELEASED, "purpose", lambda _: "marketing", "DECIDED_OTHERWISE"),
        (RELEASED, "recipient", lambda _: "third_party", "DECIDED_OTHERWISE"),
        (RELEASED, "kind", lambda _: "video", "DECIDED_OTHERWISE"),
        (RELEASED, "records", lambda _: 1, "DECIDED_OTHERWISE"),
        (RELEASED, "item_id", lambda one: one[::-1], "ITEM_NOT_DECIDED"),
        (RELEASED, "item_id", lambda _: None, "ITEM_NOT_DECIDED"),
        (RELEASED, "item_id", lambda _: "", "ITEM_NOT_DECIDED"),
        (RELEASED, "item_id", lambda _: "zz", "ITEM_NOT_DECIDED"),
        (RELEASED, "as_of", lambda _: None, ""),
        (DECISION_CLASSES, "decision", lambda _: "QUARANTINE", "NO_SUCH_DECISION"),
        (DECISION_CLASSES, "outcomes", nobody_agrees, "SOMEBODY_DOES_NOT_AGREE"),
        (DECISION_CLASSES, "record_ids", lambda _: [], "NO_RECORD_NAMED"),
        (DECISION_CLASSES, "record_ids", lambda _: ["r99998", "r99999"], "RECORD_UNKNOWN"),
        (DECISION_ITEMS, "decision", lambda _: "QUARANTINE", "ITEM_NOT_DECIDED"),
        (CONSENT_RECORDS, "status", lambda _: "withdrawn", "RECORD_IS_NO_YES"),
        (CONSENT_RECORDS, "fault", lambda _: "SIGNATURE_INVALID", "RECORD_IS_NO_YES"),
        (DECISION_EXPORTS, "release_suite_hash", lambda _: "0" * 64, "NOT_JUDGED"),
    ],
)
def test_what_was_released_wrongly_is_counted(
    table: str, column: str, change: Any, check: str, forged: Callable[..., ReleasedCheck]
) -> None:
    found = forged(table, lambda rows: exchanged(rows, column, change))
    assert found.rows == 4
    assert found.checks[check] == found.violations == (4 if check else 0)


def test_rows_are_counted_alike_in_however_many_parts(
    report: Report, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.spilled_rows.PART_ROWS", 1)
    monkeypatch.setattr("transforms.spilled_rows._CHUNK_ROWS", 3)
    assert report_json(build_report(request(world))) == report_json(report)


def test_what_the_second_look_denied_is_counted(forged: Callable[..., ReleasedCheck]) -> None:
    def denied(rows: pa.Table) -> pa.Table:
        again = exchanged(exchanged(rows, "stage", lambda _: "sink"), "decision", lambda _: "QUARANTINE")
        return pa.concat_tables([rows, again])

    found = forged(DECISION_ITEMS, denied)
    assert +found.checks == {"NOT_CONFIRMED_AT_SINK": 4}
    assert found.violations == found.rows == 4


def test_of_two_decisions_of_one_id_a_row_must_be_as_both_say(forged: Callable[..., ReleasedCheck]) -> None:
    for number, (column, value, check) in enumerate(
        [("kind", "video", "DECIDED_OTHERWISE"), ("outcomes", [{"agrees": False}], "SOMEBODY_DOES_NOT_AGREE")]
    ):
        found = forged(
            DECISION_CLASSES,
            lambda rows, at=column, to=value: pa.concat_tables([exchanged(rows, at, lambda _: to), rows]),
        )
        assert found.checks[check] == 4, number


def test_a_broken_promise_is_the_exit_code(
    report: Report, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = copy.deepcopy(report)
    broken.released_without_consent.violations = 2
    monkeypatch.setattr("pipelines.report_build.build_report", lambda request: broken)
    result = run("report", "--store", world.store, "--out", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "BROKEN" in result.output
    assert "a promise is broken" in (tmp_path / "report.html").read_text()


def test_what_is_wrong_in_what_was_written_is_told_with_what_may_be_missing(
    report: Report, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = copy.deepcopy(report)
    monkeypatch.setattr("pipelines.report_build.build_report", lambda request: broken)
    assert "--contracts" not in run("report", "--store", world.store).output
    broken.written.faults = [
        WrittenFault("telemetry", "telemetry/t", f"c{i}", "COLUMN_UNKNOWN", 3) for i in range(7)
    ]
    broken.written.faults_shown = Capped(total=9, shown=7)
    told = run("report", "--store", world.store).output
    assert "  telemetry/t, c0: COLUMN_UNKNOWN (3 rows)\n" in told
    assert ("c5" in told, "  and 4 more\n" in told, "name them with --contracts" in told) == (
        False,
        True,
        True,
    )
    own = run("report", "--store", world.store, "--contracts", bundled_contract_files()[0].parent).output
    assert ("c0" in own, "name them with --contracts" in own) == (True, False)


# --- nothing leaks, nothing grows ---------------------------------------------------------------------------


def test_no_canary_of_the_events_is_in_any_form(report: Report) -> None:
    for form in ("json", "html", "csv"):
        text = rendered(report, form)
        assert CANARY not in text
        assert "saying m1-chat" not in text
        assert "m1" not in {word.strip('",') for word in text.split()}


def test_the_page_tells_where_data_is_kept_and_how_to_say_no(report: Report) -> None:
    (terms,) = report.terms.versions
    page = report_html(report)
    assert terms.storage_locations
    assert f"kept here: {', '.join(terms.storage_locations)}." in page
    assert f"<em>{terms.withdrawal_method}</em>" in page
    assert terms.storage_locations[0] in record_csv(report)


def test_what_lies_sealed_adds_up(report: Report) -> None:
    sealed, seen = report.quarantine, report.collected
    pieces = counts(sealed.pieces)
    assert list(pieces) == ["items", "identity", "secret", "rejected"]
    assert sum(pieces.values()) == sum(counts(sealed.schemes).values()) == sealed.data_keys
    assert 0 < pieces["items"] <= sealed.items == seen.content_items == sum(one.items for one in seen.content)
    assert (pieces["rejected"], sealed.rejected) == (1, 1)
    assert sum(one.records for one in seen.types) == counts(seen.outcomes)["separated"]


def test_the_page_tells_what_is_due_to_go(report: Report) -> None:
    assert counts(report.withdrawals.lost) == {"WITHDRAWN": 4}
    page = html.unescape(report_html(report))
    due = page[page.index('id="due"') : page.index("What was destroyed")]
    assert re.search(r"WITHDRAWN: A person has taken back[^<]*</th><td[^>]*>4</td>", due)
    assert re.search(rf"sealed for more than 30 days</th><td[^>]*>{report.quarantine.overdue}</td>", due)
    assert re.search(r"does not allow any more</th><td[^>]*>4</td>", due)


def test_the_page_says_how_much_was_not_exercised(report: Report) -> None:
    (telemetry,) = [one for one in report.written.areas if one.area == "telemetry"]
    assert telemetry.not_exercised
    card = report_html(report)
    card = card[card.index('id="first"') : card.index('id="questions"')]
    assert f"{telemetry.not_exercised:,} of its {telemetry.expectations:,} checks" in card


def test_the_page_explains_why_records_and_telemetry_are_held(report: Report) -> None:
    page = html.unescape(report_html(report))
    reasons = [one.name for one in report.collected.reasons]
    decided = [one.name.split()[-1] for one in report.decisions.telemetry]
    assert reasons
    assert decided
    for code in (*reasons, *decided):
        sentence, cure = explained(code)
        assert sentence in page
        assert cure.replace("`", "") in re.sub("</?code>", "", page)


def test_markup_in_any_string_does_nothing(report: Report) -> None:
    marked = copy.deepcopy(report)
    mark(marked, MARKUP)
    page = report_html(marked)
    tags = set(re.findall(r"<([a-zA-Z]+)", page))
    assert tags == set(re.findall(r"<([a-zA-Z]+)", report_html(report)))
    assert not tags & {"script", "img", "iframe"}
    assert "&lt;script&gt;alert" in page
    assert "onerror=alert(1)&gt;" in page


def test_the_report_does_not_grow_with_items(report: Report, grown: World, quick: None) -> None:
    larger = build_report(request(grown))
    assert larger.quarantine.items == report.quarantine.items + 200
    for form in ("json", "html"):
        size = len(rendered(report, form))
        assert len(rendered(larger, form)) < 1.1 * size
