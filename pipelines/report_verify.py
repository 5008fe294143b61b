"""Verify a report: make it again from the store, and compare every figure and every word.

What is added up from what decisions state of themselves is counted a second time, item by item.

A report that says of how many commits it is made can be made again from a store that has grown since. If
files of then were rewritten, by an erasure for example, it cannot; then it holds only if the audit log names
it, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from pipelines.report_build import ReportRequest, build_report, parse_instant
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from schemas.strict_json import RecordFault, parse_strict
from transforms.audit_entries import decode, leave_entry
from transforms.audit_log import current_checkpoint
from transforms.audit_note import unverified_checkpoint
from transforms.audit_tiles import TileReader
from transforms.audit_verify import verify_log
from transforms.bounded_reading import release_memory
from transforms.report_recount import Recount, recount
from transforms.report_view import Period, StoreView
from transforms.store import Store
from transforms.store_files import open_files
from validation.report_document import Report, read_report
from validation.report_words import RISKS

LARGEST: Final = 64 << 20
ENTRY: Final = "report"
_LISTED: Final = 50


@dataclass
class Verified:
    """What verifying a report came to.

    Attributes:
        figures: Numbers that were computed again, by part of the report.
        words: Everything else that was compared.
        different: Paths of what differs, the first ones.
        numbers: For those of them that are numbers, what the report says and what the store says.
        recounted: Figures that were counted a second time, item by item.
        told: What the store says, in words, by part of the report.
        differences: How many there are.
        log_entries: Entries of the audit log that state the manifests of the files that were read.
        named_by: Entry of the audit log that names the report, where it could not be made again.
    """

    figures: Counter[str] = field(default_factory=Counter)
    words: int = 0
    different: list[str] = field(default_factory=list)
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    recounted: int = 0
    told: dict[str, str] = field(default_factory=dict)
    differences: int = 0
    log_entries: list[int] = field(default_factory=list)
    named_by: int | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return self.differences == 0


def verify_report(content: bytes, request: ReportRequest) -> Verified:
    """Make a report again and compare.

    Args:
        content: The report's bytes.
        request: Store, registry, keys and days; instant, period and state of the store are the report's.

    Raises:
        PromiseBroken: It is no report (``REPORT_MALFORMED``).
        ConfigurationError: Something is needed to make it again that was not given.
        InfrastructureFault: Files of then are gone and the log does not name the report.
    """
    stated = _read(content)
    _check_given(stated, request)
    try:
        again = build_report(_as_then(stated, request))
    except InfrastructureFault as fault:
        if fault.code != "REPORT_FILES_GONE":
            raise
        return _named_in_log(request.store, content, fault)
    found = Verified(log_entries=[run.log_entry for run in again.header.runs if run.log_entry is not None])
    compare(msgspec.to_builtins(stated), msgspec.to_builtins(again), found)
    _compare_recount(stated, again, _recounted(stated, request), found)
    found.told = told(again)
    return found


def _read(content: bytes) -> Report:
    if content.lstrip()[:1] == b"<":
        raise PromiseBroken(
            "REPORT_MALFORMED",
            "this is a page, which is made from the report; give the report itself, which "
            "`cofferdam report --out report.json` writes",
        )
    if len(content) > LARGEST:
        raise _malformed()
    try:
        # The library keeps the last of two equal keys; another reader might show the first.
        parse_strict(content, keep_below=0)
        return read_report(content)
    except (RecordFault, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _malformed() from None


def _malformed() -> PromiseBroken:
    return PromiseBroken("REPORT_MALFORMED", "the file is no report of this version, or was changed")


def _check_given(stated: Report, request: ReportRequest) -> None:
    if stated.header.registry is not None and request.registry is None:
        raise ConfigurationError(
            "REPORT_NEEDS_REGISTRY", "the report was made with a registry; give it with --registry"
        )
    if stated.header.keys_given and request.keys is None:
        raise ConfigurationError("REPORT_NEEDS_KEYS", "the report was made with keys; give them with --keys")


def _as_then(stated: Report, request: ReportRequest) -> ReportRequest:
    header = stated.header
    bounds = (header.period_from, header.period_to)
    start, end = (None if bound is None else parse_instant(bound) for bound in bounds)
    return replace(
        request,
        as_of=parse_instant(header.as_of),
        period=Period(start, end),
        commits=header.commits,
        checkpoint=stated.log.checkpoint or None,
        registry=request.registry if header.registry is not None else None,
        keys=request.keys if header.keys_given else None,
    )


# --- comparing ----------------------------------------------------------------------------------------------


def compare(stated: object, again: object, found: Verified, path: str = "") -> None:
    """Compare two documents leaf by leaf; what stands in one only counts as one difference."""
    if isinstance(stated, dict) and isinstance(again, dict):
        for name in again:
            compare(stated.get(name), again[name], found, f"{path}.{name}" if path else name)
    elif isinstance(stated, list) and isinstance(again, list) and len(stated) == len(again):
        for number, (one, other) in enumerate(zip(stated, again, strict=True)):
            compare(one, other, found, f"{path}[{number}]")
    else:
        _count(again, found, path)
        if type(stated) is not type(again) or stated != again:
            _differs(stated, again, found, path)


def _differs(stated: object, again: object, found: Verified, path: str) -> None:
    found.differences += 1
    if len(found.different) < _LISTED:
        found.different.append(path)
        if type(stated) is type(again) is int:
            found.numbers[path] = (int(str(stated)), int(str(again)))


def _count(leaf: object, found: Verified, path: str) -> None:
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        found.figures[path.split(".")[0].split("[")[0]] += 1
    else:
        found.words += 1


# --- counting a second time ---------------------------------------------------------------------------------


def _recounted(stated: Report, request: ReportRequest) -> Recount:
    """What the last releases decided, counted item by item."""
    then = _as_then(stated, request)
    release_memory()
    return recount(StoreView(then.store, then.period, then.commits), RISKS)


def _compare_recount(stated: Report, again: Report, counted: Recount, found: Verified) -> None:
    """Compare with what was counted item by item; what differs from the report made again counts already."""
    listed = {one.reason.code: one.items for one in again.decisions.reasons}
    own = {code: number for code, number in counted.reasons.items() if number or code in listed}
    figures = [("decisions.items", stated.decisions.items, counted.items)]
    figures += [
        (f"assessment.risks[{at}].items", one.items, counted.risks[one.risk])
        for at, one in enumerate(stated.assessment.risks)
    ]
    figures += [
        (f"decisions.reasons[{at}].items", one.items, own.pop(one.reason.code, 0))
        for at, one in enumerate(stated.decisions.reasons)
    ]
    figures += [(f"decisions.reasons: {code}", 0, number) for code, number in sorted(own.items())]
    figures.append(("decisions.items without a decision", 0, counted.undecided))
    for path, said, number in figures:
        found.recounted += 1
        if said != number and path not in found.different:
            _differs(said, number, found, path)


# --- what it comes to ---------------------------------------------------------------------------------------


def told(report: Report) -> dict[str, str]:
    """The chief figures of a report in words, by part."""
    first, written, seen = report.released_without_consent, report.written, report.collected
    sealed, gone, log = report.quarantine, report.withdrawals, report.log
    pieces = sum(one.count for one in sealed.pieces)
    verified = "verified" if log.holds else "DOES NOT VERIFY"
    return {
        "released_without_consent": f"{first.violations:,} released wrongly, of {first.rows:,} items",
        "written": f"{written.violations:,} contract violations in {written.rows:,} rows of telemetry",
        "collected": f"{seen.records:,} records, {seen.content_items:,} items of content",
        "processing": f"{len(report.processing.purposes):,} purposes",
        "agreed": f"{report.agreed.records:,} consent records",
        "decisions": ", ".join(f"{one.count:,} {one.name}" for one in report.decisions.outcomes) or "none",
        "quarantine": f"{pieces:,} sealed pieces, {sealed.overdue:,} items overdue",
        "releases": f"{report.releases.copies:,} copies, {report.releases.to_delete:,} to delete",
        "withdrawals": f"{gone.trusted:,} trusted noes, {gone.keys_destroyed:,} items destroyed",
        "log": f"{log.entries:,} entries, {log.files:,} files: {verified}",
    }


# --- in the log ---------------------------------------------------------------------------------------------


def record_report(store: str, content: bytes, report: Report) -> None:
    """Leave the digest of a report for the audit log; the next run, or `cofferdam audit merge`, takes it up.

    Raises:
        InfrastructureFault: The store cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    entry = {"type": ENTRY, "sha256": digest, "commits": report.header.commits, "as_of": report.header.as_of}
    leave_entry(Store.open(store).files_of_store, f"{ENTRY}-{digest}", entry)


def _named_in_log(store: str, content: bytes, fault: InfrastructureFault) -> Verified:
    digest = hashlib.sha256(content).hexdigest()
    result = verify_log(store)
    places = (index for index, entry in _entries(store) if entry.get("sha256") == digest)
    index = next(places, None) if result.holds else None
    if index is None:
        raise fault
    return Verified(log_entries=[index], named_by=index)


def _entries(store: str) -> Iterator[tuple[int, dict[str, Any]]]:
    files = open_files(store)
    content = current_checkpoint(files)
    if content is None:
        return
    size = unverified_checkpoint(content)[0].size
    for index, entry in enumerate(TileReader(files.read, size).entries(0, size)):
        known = decode(entry)
        if known is not None and known.get("type") == ENTRY:
            yield index, known


def read_file(path: Path) -> bytes:
    """The bytes of a report.

    Raises:
        InfrastructureFault: It cannot be read (``REPORT_UNREADABLE``).
    """
    try:
        return path.read_bytes()
    except OSError:
        raise InfrastructureFault("REPORT_UNREADABLE", f"{path} cannot be read") from None
