"""The governance report as one document: what it holds, in the order in which it is read.

``docs/report.schema.json`` is made from these classes, and a report is read back by them: what is not
declared here stands in no report.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import msgspec

from validation.report_controls import (
    Assessment,
    Controls,
    Exceptions,
    Limit,
    Log,
    Replay,
    Separation,
    TermsInForce,
)
from validation.report_decided import Agreed, Decisions, Quarantine, Releases, Withdrawals
from validation.report_parts import Checked, Collected, Header, Part, Record
from validation.report_written import Written

FORMAT: Final = "cofferdam-report/1"


class Report(Part):
    """A governance report.

    Attributes:
        format: Name and version of this form.
        header: What it is about.
        released_without_consent: Items that were released without a complete set of valid consents.
        written: Contract violations found in what was written.
        collected: What is collected.
        processing: The record of processing.
        agreed: Who agreed.
        decisions: Decisions.
        quarantine: What is sealed.
        releases: What was released.
        withdrawals: Withdrawal and erasure.
        separation: Evidence of separation.
        terms: Terms and notices.
        exceptions: Exceptions.
        assessment: Inputs of an impact assessment.
        controls: Control results.
        limits: What is not proven.
        replay: How to check a decision.
        log: The audit log.
    """

    format: Literal["cofferdam-report/1"]
    header: Header
    released_without_consent: Checked
    written: Written
    collected: Collected
    processing: Record
    agreed: Agreed
    decisions: Decisions
    quarantine: Quarantine
    releases: Releases
    withdrawals: Withdrawals
    separation: Separation
    terms: TermsInForce
    exceptions: Exceptions
    assessment: Assessment
    controls: Controls
    limits: list[Limit]
    replay: Replay
    log: Log


def broken_promises(report: Report) -> list[str]:
    """Which promises a report shows to be broken, in words."""
    seen = report.collected
    broken = {
        "Items were released without a complete set of valid consents.": (
            report.released_without_consent.violations > 0
        ),
        "Telemetry holds what its contracts do not allow.": report.written.violations > 0,
        "What was written does not meet its suites.": report.written.faults_shown.total > 0,
        "The audit log does not verify.": not report.log.holds,
        "What was read and what was committed do not agree.": (
            seen.reconciled_runs != seen.runs or not seen.recounted
        ),
    }
    return [what for what, is_broken in broken.items() if is_broken]


def report_json(report: Report) -> bytes:
    """A report as JSON that people can read; equal reports have equal bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def read_report(content: bytes) -> Report:
    """A report that was written by `report_json`.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return msgspec.json.decode(content, type=Report)


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a report, as it is published."""
    made = msgspec.json.schema(Report)
    found: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cofferdam governance report",
        **made,
    }
    return found


def schema_text() -> str:
    """The text of ``docs/report.schema.json``."""
    return json.dumps(report_schema(), indent=1) + "\n"
