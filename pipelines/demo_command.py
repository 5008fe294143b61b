"""``cofferdam demo``: take events apart and release some, and fail if anything is not as expected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.quiet_start import quiet_start
from schemas.errors import ConfigurationError, PromiseBroken

MARK = ".cofferdam-demo"
SEED = 20260105
FIXTURES = Path(__file__).parent / "fixtures"
HELD = "QUARANTINE"
CANARIES = 100


@click.command(name="demo")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    metavar="DIR",
    help="Where everything goes: a new or empty folder, or that of an earlier demo, which is cleared.",
)
@click.option(
    "--events",
    type=click.IntRange(100),
    default=20_000,
    show_default=True,
    help="Number of generated events.",
)
@click.pass_context
def demo(context: click.Context, output: Path, events: int) -> None:
    """Run Cofferdam over hand-written and over generated events, and check what became of each.

    Everything is written below DIR. Content is opened only where everybody in a generated meeting has agreed.
    Nothing is sent or downloaded.

    Exit codes: 0 everything is as expected, 1 a difference was found (each is printed), 2 DIR holds other
    things, 3 a file could not be written.
    """
    with reported():
        show = Demo(_cleared(output), events, context)
        for step in STEPS:
            step(show)
        show.end()


@dataclass
class Demo:
    """One demonstration and what it has found so far.

    Attributes:
        output: The folder that everything goes to.
        events: Number of events to generate.
        context: Where other commands are called from.
        differences: What was not as expected, in words.
        next_commands: What a reader may want to run next.
    """

    output: Path
    events: int
    context: click.Context = field(repr=False)
    differences: list[str] = field(default_factory=list)
    next_commands: list[str] = field(default_factory=list)

    @property
    def keys(self) -> Path:
        """The key directory."""
        return self.output / "keys"

    def heading(self, text: str, command: str = "") -> None:
        """Begin a step, with the command that does the same."""
        click.secho(f"\n{text}", bold=True)
        if command:
            click.echo(f"  $ cofferdam {command}")

    def check(self, statement: str, differences: Sequence[str]) -> None:
        """State what should hold, and whether it does."""
        mark = click.style("differs", fg="red") if differences else click.style("ok", fg="green")
        click.echo(f"  {mark}  {statement}")
        for line in differences[:20]:
            click.echo(f"      {line}")
        self.differences += differences

    def run(self, patterns: Sequence[Path], store: Path, canaries: int = 0) -> dict[str, Any]:
        """Run ingest as ``cofferdam run`` does, and return its ledger."""
        from pipelines.run_ingest import IngestRequest, run_ingest

        request = IngestRequest(
            patterns=tuple(map(str, patterns)),
            store=str(store),
            keys=self.keys / "ingest",
            source="auto",
            contract_files=(),
            record_cap=16 << 20,
            split_bytes=64 << 20,
            received=datetime.now(UTC).date(),
            digest_since=None,
            canaries=canaries,
        )
        return run_ingest(request, show_progress=True)

    def release(self, store: Path, folder: Path, expected: dict[str, Any]) -> dict[str, Any]:
        """Release as ``cofferdam release`` does, and return its ledger.

        Args:
            store: The store.
            folder: Where the generator wrote registry and consent records.
            expected: Purpose, recipient and instant of the decisions.
        """
        from pipelines.run_release import ReleaseOptions, run_release
        from transforms.release_rules import ReleaseRequest

        request = ReleaseRequest((expected["purpose"],), expected["recipient"], expected["as_of"])
        options = ReleaseOptions(
            store=str(store),
            keys=self.keys / "release",
            consents=(folder / "consents",),
            registry=folder / "registry",
            request=request,
            allow_test_keys=True,
        )
        return run_release(options, show_progress=True)

    def end(self) -> None:
        """Say what was written where.

        Raises:
            PromiseBroken: Something was not as expected (DEMO_DIFFERS).
        """
        if self.differences:
            number = len(self.differences)
            raise PromiseBroken("DEMO_DIFFERS", f"{number} things are not as expected; they are listed above")
        self.heading("Everything is as expected. Written:")
        for name, what in _WRITTEN:
            click.echo(f"  {self.output / name!s:<32} {what}")
        if self.next_commands:
            self.heading("To look further:")
        for command in self.next_commands:
            click.echo(f"  $ cofferdam {command}")


_WRITTEN = (
    ("keys", "two sides: ingest/ seals, release/ opens"),
    ("events", "generated events and registry, and the outcomes to expect"),
    ("events/consents", "the signed consent records, on which the releases rest"),
    ("by-hand", "the store of the hand-written events"),
    ("store", "the store of the generated events"),
    ("store/telemetry", "its tables of service data, without content"),
    ("store/released", "content whose release everybody concerned has agreed to"),
    ("report.html", "the governance report; open it in a browser"),
    ("report.json", "the same as a document, which `report verify` checks"),
)


def _cleared(output: Path) -> Path:
    """An empty folder of our own: what an earlier demo wrote is deleted, anything else is refused."""
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / MARK).is_file())):
        raise ConfigurationError(
            "DEMO_FOLDER_IN_USE", f"{output} holds other things; name a new or empty folder as --output"
        )
    if output.exists():
        for entry in output.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    output.mkdir(parents=True, exist_ok=True)
    (output / MARK).write_text("Made by `cofferdam demo`, which may clear this folder.\n", encoding="utf-8")
    return output


# --- the steps --------------------------------------------------------------------------------------------


def _make_keys(show: Demo) -> None:
    from transforms.keys import create_key_directory

    show.heading("Make keys: one side seals and cannot open, the other opens", f"keys init {show.keys}")
    create_key_directory(show.keys, created=datetime.now(UTC).date())
    with quiet_start():
        import pipelines.run_ingest  # noqa: F401


def _by_hand(show: Demo) -> None:
    from pipelines.store_search import words_in_clear
    from transforms.store import Store

    store = show.output / "by-hand"
    files = [FIXTURES / "*.jsonl"]
    expected = json.loads((FIXTURES / "expected.json").read_bytes())
    show.heading(
        "Take apart events written by hand: mixed, secret, personal, malformed", _run_words(show, store)
    )
    ledger = show.run(files, store)
    _compare(show, expected, ledger)
    opened = Store.open(store)
    show.check(
        "numbers, units and enumerated words are in telemetry", telemetry_differences(expected, opened)
    )
    words = expected["nowhere"]
    statement = f"{len(words)} names, titles, ids and secrets of the events are nowhere in clear"
    show.check(statement, words_in_clear(opened, words))
    again = show.run(files, store)
    added = sum(number for outcome, number in again["outcomes"].items() if outcome != "duplicate")
    repeated = [f"{added} records were taken again"] if added else []
    show.check("the same events again: all duplicates, nothing added", repeated)


def telemetry_differences(expected: dict[str, Any], store: Any) -> list[str]:
    """Columns of telemetry whose values are not those that were expected, in any order."""
    lines = []
    for table, columns in expected["telemetry"].items():
        found = store.read_table(f"telemetry/{table}", list(columns))
        for name, values in columns.items():
            kept = [value for value in found[name].to_pylist() if value is not None]
            if sorted(kept, key=str) != sorted(values, key=str):
                lines.append(f"telemetry/{table}, column {name}, differs from what was expected")
    return lines


def _generate(show: Demo) -> None:
    from pipelines.generator import Settings, generate

    folder = show.output / "events"
    show.heading(
        "Generate meetings: people join, talk, write, leave; some records repeat, some are broken",
        f"generate --events {show.events} --seed {SEED} --output {folder}",
    )
    expected = generate(Settings(show.events, SEED), folder)
    click.echo(f"  {expected['records']:,} records")


def _generated(show: Demo) -> None:
    store, folder = show.output / "store", show.output / "events"
    show.heading(
        "Take them apart, and plant words in content that must be nowhere but sealed",
        f"run --input {folder / 'events'} --store {store} --keys {show.keys}/ingest --canaries {CANARIES}",
    )
    ledger = show.run([folder / "events"], store, CANARIES)
    _compare(show, json.loads((folder / "expected" / "outcomes.json").read_bytes()), ledger)
    canaries = ledger["canaries"]  # had one been found elsewhere, the run would have failed
    planted, searched = canaries["planted"], canaries["files_searched"]
    click.echo(f"      {planted:,} canaries planted and sealed, none found in {searched:,} files")


def _compare(show: Demo, expected: dict[str, Any], ledger: dict[str, Any]) -> None:
    from pipelines.ledger_comparison import ledger_differences

    differences = ledger_differences(expected, ledger)
    outcomes = ", ".join(f"{number:,} {name}" for name, number in ledger["outcomes"].items())
    show.check(
        f"{ledger['records']:,} records, each with the outcome expected of it: {outcomes}", differences
    )
    kept = sum(number for name, number in ledger["rows"].items() if name.startswith("telemetry/"))
    sealed = sum(number for kind, number in ledger["items"].items() if kind not in ("rejected", "unknown"))
    click.echo(f"      {kept:,} rows of telemetry, {sealed:,} items of content sealed")


def _release(show: Demo) -> None:
    from rich.console import Console

    from pipelines.decision_comparison import decision_differences, decisions_table

    folder, store = show.output / "events", show.output / "store"
    expected = json.loads((folder / "expected" / "decisions.json").read_bytes())
    what = f"--purpose {expected['purpose']} --recipient {expected['recipient']} --as-of {expected['as_of']}"
    sources = f"--consents {folder / 'consents'} --registry {folder / 'registry'}"
    show.heading(
        "Decide what may train a model, by everybody's signed consent, and release that alone",
        f"release --store {store} --keys {show.keys}/release {sources} {what} --allow-test-keys",
    )
    ledger = show.release(store, folder, expected)
    Console().print(decisions_table(expected, ledger))
    statement = f"{ledger['items']:,} items, each with the decision and the reason expected of it"
    show.check(statement, decision_differences(expected, ledger))
    click.echo(f"      {ledger['released']:,} items released, each row with the records that it rests on")
    _audit(show, store)
    show.next_commands += _next_commands(store)


def _audit(show: Demo, store: Path) -> None:
    """Verify the log of all that was done, with the keys that signed it."""
    from pipelines.audit_keys import named_verifiers
    from pipelines.audit_report import checkpoint_text
    from transforms.audit_verify import verify_log

    show.heading("Verify the log of all this", f"audit verify --store {store} --keys {show.keys}")
    result = verify_log(str(store), named_verifiers(str(store), (), [show.keys]))
    statement = f"{result.commits} commits, {result.files} files: all as they were signed"
    show.check(statement, [message for _, message in result.findings.listed])
    click.echo(checkpoint_text(str(store)))


def _report(show: Demo) -> None:
    """Report on all this, and write the report down."""
    from pipelines.report_build import ReportRequest, build_report
    from pipelines.report_command import rendered, write_text
    from validation.report_document import broken_promises

    store, registry, keys = show.output / "store", show.output / "events" / "registry", show.keys / "ingest"
    sources = f"--store {store} --registry {registry} --keys {keys}"
    show.heading(
        "Report what was collected, held and released, for whoever has to check it",
        f"report {sources} --out {show.output / 'report.html'}",
    )
    now = datetime.now(UTC).replace(microsecond=0)
    made = build_report(ReportRequest(str(store), now, registry=registry, keys=keys))
    for form in ("html", "json"):
        write_text(show.output / f"report.{form}", rendered(made, form))
    first, written = made.released_without_consent, made.written
    statement = (
        f"{first.violations} of {first.rows:,} released items lack a consent, {written.violations} of "
        f"{written.rows:,} rows of telemetry break their contract, counted from what was written"
    )
    show.check(statement, broken_promises(made))
    show.next_commands.append(f"report verify {sources} {show.output / 'report.json'}")
    sources = f"--keys {show.keys}/release --consents {registry.parent / 'consents'} --registry {registry}"
    show.next_commands += [
        f"replay --decision {one.decision_id} --store {store} {sources}" for one in made.replay.commands[:1]
    ]


def _next_commands(folder: Path) -> list[str]:
    """Commands that show an item which is held, a table, and the tables' files."""
    from schemas.tables import DECISION_ITEMS
    from transforms.store import Store

    decided = Store.open(folder).read_table(DECISION_ITEMS, ["item_id", "decision"]).to_pylist()
    held = [f"explain --store {folder} --item {row['item_id']}" for row in decided if row["decision"] == HELD]
    table = f"inspect --store {folder} --table telemetry/zoom_meeting_chat"
    return [*held[:1], table, f"tables --store {folder}"]


def _inspect(show: Demo) -> None:
    from pipelines.inspect_command import inspect

    store = show.output / "store"
    show.heading("Look at the store", f"inspect --store {store} --rows 2")
    show.context.invoke(inspect, store_at=store, table=None, rows=2, verify=True, as_json=False)


def _run_words(show: Demo, store: Path) -> str:
    files = f"{FIXTURES.parent.name}/{FIXTURES.name}/*.jsonl"
    return f"run --input '{files}' --store {store} --keys {show.keys}/ingest"


STEPS: tuple[Callable[[Demo], None], ...] = (
    _make_keys,
    _by_hand,
    _generate,
    _generated,
    _inspect,
    _release,
    _report,
)
"""What is shown, in order: it ends with what was released, what is held for which reason, and the report."""
