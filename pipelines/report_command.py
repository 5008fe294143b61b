"""``cofferdam report``: what was collected, held and released, to whom and on whose agreement."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import DAYS, PlaceType
from pipelines.quiet_start import quiet_start
from schemas.errors import EXIT_PROMISE_BROKEN, ConfigurationError

if TYPE_CHECKING:
    from pipelines.report_build import ReportRequest
    from pipelines.report_verify import Verified
    from validation.report_document import Report

_PATH = click.Path(path_type=Path)
_FAULTS_TOLD = 5
_FORMATS = ("html", "json", "csv")
_REGISTRY_HELP = "The registry: purposes, lawful bases, terms and controllers come from it."
_KEYS_HELP = "One side of a key directory, best KEYS/ingest: released items' records are looked up by id."
_LIVE_HELP = "How long sealed items may live, as `cofferdam erase` was told."


@click.group(name="report", invoke_without_command=True)
@click.option("--store", metavar="DIR", help="The store.")
@click.option("--registry", type=PlaceType(), metavar="DIR", help=_REGISTRY_HELP)
@click.option(
    "--registry-signer",
    metavar="THUMBPRINT",
    help="Thumbprint of the key that must have signed for the registry.",
)
@click.option("--keys", type=_PATH, metavar="DIR", help=_KEYS_HELP)
@click.option("--contracts", multiple=True, type=_PATH, metavar="PATH", help="As for run.")
@click.option("--out", type=_PATH, metavar="FILE", help="Write the report here instead of printing it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="html for people, json is the report itself, csv its record of processing; by --out's ending.",
)
@click.option("--period", metavar="FROM/TO", help="Tell of runs that began then (RFC 3339); either may lack.")
@click.option("--as-of", metavar="TIME", help="Instant that ages are counted to (RFC 3339); now by default.")
@click.option("--live-days", type=DAYS, default=30, show_default=True, metavar="DAYS", help=_LIVE_HELP)
@click.option("--record", is_flag=True, help="Leave the report's SHA-256 for the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def report(context: click.Context, /, store: str | None, **options: Any) -> None:
    """Report what a store holds: what was collected, held and released, to whom and on whose agreement.

    One JSON document is the report; HTML and CSV are made from it. Without --out and --format a summary is
    printed. The same store, registry and --as-of give the same report. Nothing is opened. No key is needed;
    with one, the records behind each released item are looked up besides.

    \b
      cofferdam report --store my-store --registry my-registry --out report.html
      cofferdam report verify --store my-store --registry my-registry report.json

    Exit codes: 0 made, 1 made, and a promise is broken (the report says which), 2 usage or registry, 3 a key,
    file or store cannot be used.
    """  # noqa: D301 - click reads the backspace as "keep the lines of this paragraph"
    # Arrow's own allocators keep what they once had. It asks for this when it is first used.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if context.invoked_subcommand is not None:
        if store is not None:
            raise click.UsageError(f"options of `report {context.invoked_subcommand}` come after its name")
        return
    if store is None:
        raise click.UsageError("Missing option '--store'.")
    from validation.report_document import broken_promises

    with reported():
        made = _make(store, **options)
    if broken_promises(made):
        context.exit(EXIT_PROMISE_BROKEN)


def _make(
    store: str,
    out: Path | None,
    form: str | None,
    period: str | None,
    as_of: str | None,
    record: bool,
    as_json: bool,
    **given: Any,
) -> Report:
    with quiet_start():
        from pipelines.report_build import build_report, parse_instant
    from pipelines.report_verify import record_report
    from validation.report_document import report_json

    now = datetime.now(UTC).replace(microsecond=0)
    instant = now if as_of is None else parse_instant(as_of)
    made = build_report(_request(store, as_of=instant, period=_period(period), **given))
    chosen = form or (None if out is None else _form_of(out)) or ("json" if as_json and out is None else None)
    if record and chosen != "json":
        raise click.UsageError("--record is about the report itself: write it with --format json")
    told = _told(made, out, own_contracts=bool(given["contracts"]))
    if out is not None:
        write_text(out, rendered(made, chosen or "html"))
        click.echo(json.dumps(_summary(made, out)) if as_json else told)
    else:
        click.echo(told if chosen is None else rendered(made, chosen), nl=chosen is None)
    if record:
        record_report(store, report_json(made), made)
    return made


def _request(store: str, **given: Any) -> ReportRequest:
    from pipelines.report_build import ReportRequest

    return ReportRequest(store=store, **given)


def _period(text: str | None) -> Any:
    from pipelines.report_build import parse_instant
    from transforms.report_view import Period

    if text is None:
        return Period()
    start, slash, end = text.partition("/")
    if not slash or (not start and not end):
        raise ConfigurationError("REPORT_PERIOD", "a period is FROM/TO, and one of the two may be left out")
    first, last = (parse_instant(part) if part else None for part in (start, end))
    if first is not None and last is not None and last <= first:
        raise ConfigurationError("REPORT_PERIOD", "the period ends before it begins")
    return Period(first, last)


def _form_of(out: Path) -> str | None:
    ending = out.suffix.removeprefix(".").lower()
    return ending if ending in _FORMATS else None


def rendered(made: Report, form: str) -> str:
    """The report in a form: html, json or csv."""
    if form == "json":
        from validation.report_document import report_json

        return report_json(made).decode()
    if form == "csv":
        from pipelines.report_csv import record_csv

        return record_csv(made)
    from pipelines.report_html import report_html

    return report_html(made)


def write_text(path: Path, text: str) -> None:
    """Write a file whole.

    Raises:
        InfrastructureFault: It cannot be written (``REPORT_NOT_WRITTEN``).
    """
    from schemas.errors import InfrastructureFault

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError:
        message = f"{path} cannot be written; check the folder and its permissions"
        raise InfrastructureFault("REPORT_NOT_WRITTEN", message) from None


def _summary(made: Report, out: Path) -> dict[str, Any]:
    from validation.report_document import broken_promises

    return {
        "file": str(out),
        "as_of": made.header.as_of,
        "commits": made.header.commits,
        "released": made.released_without_consent.rows,
        "released_without_consent": made.released_without_consent.violations,
        "contract_violations_in_telemetry": made.written.violations,
        "broken": broken_promises(made),
    }


def _faults_told(made: Report, own_contracts: bool) -> Iterator[str]:
    faults = made.written.faults
    for one in faults[:_FAULTS_TOLD]:
        yield f"  {one.table}, {one.column}: {one.code} ({one.rows:,} rows)"
    if more := made.written.faults_shown.total - len(faults[:_FAULTS_TOLD]):
        yield f"  and {more:,} more"
    if faults and not own_contracts:
        yield "Were runs given contracts of your own? Then name them with --contracts"


def _told(made: Report, out: Path | None, *, own_contracts: bool) -> str:
    from validation.report_document import broken_promises

    first, quarantine = made.released_without_consent, made.quarantine
    lines = [
        f"Released without a complete set of valid consents: {first.violations:,} of {first.rows:,} items",
        f"Contract violations in telemetry: {made.written.violations:,} in {made.written.rows:,} rows",
        f"Collected: {made.collected.records:,} records, {made.collected.telemetry_rows:,} rows of "
        f"telemetry, {quarantine.items:,} items of content sealed",
        f"Audit log: {made.log.entries:,} entries, {'verified' if made.log.holds else 'DOES NOT VERIFY'}",
        *(f"BROKEN: {what}" for what in broken_promises(made)),
        *_faults_told(made, own_contracts),
        "--out report.html writes the whole report" if out is None else f"Written: {out}",
    ]
    return "\n".join(lines)


@report.command(name="verify")
@click.argument("file", type=_PATH, metavar="REPORT.json")
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option("--registry", type=PlaceType(), metavar="DIR", help="The registry that it was made with.")
@click.option("--registry-signer", metavar="THUMBPRINT", help="As for `report`.")
@click.option("--contracts", multiple=True, type=_PATH, metavar="PATH", help="As for run.")
@click.option("--keys", type=_PATH, metavar="DIR", help=_KEYS_HELP)
@click.option("--live-days", type=DAYS, default=30, show_default=True, metavar="DAYS", help=_LIVE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(context: click.Context, /, file: Path, store: str, as_json: bool, **given: Any) -> None:
    """Make a report again from the store, and compare every figure and every word of it.

    The store may have grown since. If files that the report was made from were rewritten, by an erasure for
    example, the report holds if the audit log names it (`report --record`).

    Exit codes: 0 it is the same, or the audit log names it; 1 it differs (where is printed), or is no report;
    2 usage, or registry or keys are needed; 3 a file cannot be read, or files of then are gone.
    """
    with quiet_start():
        from pipelines.report_verify import read_file, verify_report
    with reported():
        request = _request(store, as_of=datetime.fromtimestamp(0, UTC), **given)
        found = verify_report(read_file(file), request)
    click.echo(json.dumps(_verified_json(found), indent=2) if as_json else _verified_text(found))
    if not found.holds:
        context.exit(EXIT_PROMISE_BROKEN)


def _verified_json(found: Verified) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "figures": dict(sorted(found.figures.items())),
        "words": found.words,
        "recounted": found.recounted,
        "log_entries": found.log_entries,
        "named_by": found.named_by,
        "differences": found.differences,
        "different": found.different,
        "numbers": {path: {"report": said, "store": now} for path, (said, now) in found.numbers.items()},
    }


def _part_told(part: str, figures: int, told: Mapping[str, str]) -> str:
    said = f"  {told[part]}" if part in told else ""
    return f"  {part:<24} {figures:>5,} {'figure ' if figures == 1 else 'figures'}{said}"


def _difference(path: str, found: Verified) -> str:
    """Where a report differs, and by how much; the words of a file that may be forged are not repeated."""
    if path not in found.numbers:
        return f"DIFFERS  {path}"
    said, now = found.numbers[path]
    return f"DIFFERS  {path}: the report says {said:,}, the store {now:,}"


def _verified_text(found: Verified) -> str:
    if found.named_by is not None:
        return (
            "Files that the report was made from were rewritten since, so it cannot be made again.\n"
            f"Entry {found.named_by} of the audit log names it, byte for byte, and the log verifies."
        )
    entries = ", ".join(map(str, found.log_entries)) or "none"
    lines = [
        f"{sum(found.figures.values()):,} figures and {found.words:,} words computed again from the store:",
        *(_part_told(part, number, found.told) for part, number in found.figures.items()),
        f"{found.recounted:,} of them counted a second time, item by item, from single decisions",
        f"its files are those of the manifests that these entries of the audit log state: {entries}",
        *(_difference(path, found) for path in found.different),
    ]
    if found.differences > len(found.different):
        lines.append(f"DIFFERS  and {found.differences - len(found.different):,} more")
    end = "Everything is the same." if found.holds else "This is not what the store says."
    return "\n".join([*lines, end])
