"""The release pipeline: sealed content and signed records in, decisions and what may go out.

    telemetry ────────────► decide ──────────────────────────┐
    items ───┐                                               ▼
    signals ─┤
    roster ──┼──► people ──► decide ──► open and write ──► look again ──► decide again ──► commit
    records ─┘                 │                               ▲                             ▲
                               └── log of decisions ───────────┼─────────────────────────────┘
    records, once more ────────────────────────────────────────┘

Nothing is opened before it is decided, and nothing that was written exists before the commit. What arrived
meanwhile is seen: the records are read again when everything is written, and if they are no longer the same,
whatever was to go is decided again with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import apache_beam as beam

from transforms.audit_append import AppendToLog
from transforms.decide_telemetry import DecideTelemetry
from transforms.judge_written import JudgeWritten
from transforms.keys import ReleaseKeys
from transforms.records_seen import NoteRecords
from transforms.release_reading import (
    AGAIN,
    ANYWHERE,
    COUNTS,
    FILES,
    ITEMS,
    MARKED,
    MEETINGS,
    NAMED,
    ONLY,
    OWNERLESS,
    READ,
    ROWS,
    SIGHTED,
    TASKS,
    UNPLACED,
    WITNESSED,
    ReadAliases,
    ReadItems,
    ReadRecords,
    ReadRoster,
    ReadSignals,
)
from transforms.release_rules import DECIDE, SINK, ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.release_sink import CommitRelease, LookAgain, LostTasks, when_changed, when_unchanged
from transforms.release_steps import DecideMeetings, FindPeople, OpenAndWrite
from transforms.telemetry_scopes import ReadTelemetry

_PEOPLE, _DOUBTS = "people", "doubts"


def build_release(
    pipeline: beam.Pipeline, settings: ReleaseSettings, rules: ReleaseRules, keys: ReleaseKeys
) -> None:
    """Put the release pipeline together.

    Args:
        pipeline: The pipeline to add to.
        settings: What every step needs to know.
        rules: Policies and registry.
        keys: The reading side's keys; they travel as a path.
    """
    request = rules.request
    start = pipeline | "Start" >> beam.Create([settings.run_id], reshuffle=False)
    first = _decided("First", start, {}, settings, rules, keys, DECIDE)
    written = first[TASKS] | "OpenAndWrite" >> OpenAndWrite(settings, request.purposes, keys)

    scopes = pipeline | "ReadTelemetry" >> ReadTelemetry(settings)  # scopes by meeting
    telemetry = {"scopes": scopes, **first[_PEOPLE]} | "DecideTelemetry" >> DecideTelemetry(
        settings, rules, first[_DOUBTS], first[READ]
    )
    done = (written[FILES], written[COUNTS], first[FILES], telemetry[FILES])
    sighting = start | "LookAgain" >> LookAgain(settings, rules.registry_hash, done)  # Sighting
    changed = (sighting, first[READ])
    to_go = first[AGAIN] | "ToGo" >> when_changed(*changed)
    second = _decided(
        "Second",
        start | "StartAgain" >> when_changed(*changed),
        {ONLY: to_go},
        settings,
        rules,
        keys,
        SINK,
    )
    lost = (to_go, second[AGAIN]) | "LostTasks" >> LostTasks()
    said = (first[WITNESSED] | "Said" >> when_unchanged(*changed), second[WITNESSED]) | beam.Flatten()
    written_rows = {
        "released": written[FILES],
        "logs": first[FILES],
        "people": said,
    } | "JudgeWritten" >> JudgeWritten(settings, rules)
    sighted = {"sighted": first[SIGHTED], "starts": start}
    noted = sighted | "NoteRecords" >> NoteRecords(settings, request.as_of_time)  # files
    logs = (first[FILES], noted) | "Logs" >> beam.Flatten()
    committed = pipeline | "Commit" >> CommitRelease(
        settings,
        rules,
        keys,
        logs=(logs, second[FILES]),
        released=written[FILES],
        written=written_rows,
        counts=first[COUNTS],
        openings=written[COUNTS],
        unplaced=written[UNPLACED],
        read=first[READ],
        sighting=sighting,
        sink_counts=second[COUNTS],
        lost=lost,
        telemetry=telemetry[FILES],
        telemetry_counts=telemetry[COUNTS],
    )  # ledger
    _ = committed | "AppendToLog" >> AppendToLog(settings.store, keys)  # ledger


def _decided(
    name: str,
    start: Any,
    only: Mapping[str, Any],
    settings: ReleaseSettings,
    rules: ReleaseRules,
    keys: ReleaseKeys,
    stage: str,
    *,
    log: str | None = None,
) -> Mapping[str, Any]:
    """Decide with everything as it is now: items, rosters, records and aliases are read from their places.

    Decisions are written to another store than they are about where `log` names one.
    """
    items = start | f"{name}Items" >> ReadItems(settings, rules.request.recipient)  # items, marked by meeting
    roster = start | f"{name}Roster" >> ReadRoster(settings)  # rows by meeting
    records = start | f"{name}Records" >> ReadRecords(settings, rules, keys)  # rows by identifier
    aliases = start | f"{name}Aliases" >> ReadAliases(settings, keys)  # links by identifier
    signals = start | f"{name}Signals" >> ReadSignals(settings)  # by meeting, by identifier, of anything
    rows = (records[ROWS], signals[ROWS]) | f"{name}Rows" >> beam.Flatten()
    inputs = {"named": (items[NAMED], roster[NAMED]), "aliases": aliases, "rows": rows}
    people = inputs | f"{name}People" >> FindPeople(settings.digits)  # links, rows by meeting
    own = {name: items[name] for name in (ITEMS, MARKED)}
    meetings = {**own, "roster": roster[ROWS], "signals": signals[MEETINGS], **people, **only}
    doubts = (records[OWNERLESS], signals[ANYWHERE])
    writing = settings if log is None else replace(settings, store=log)
    step = DecideMeetings(writing, rules, keys, stage, doubts, records[READ])
    decided = meetings | f"{name}Decision" >> step
    return {
        FILES: decided[FILES],
        TASKS: decided[TASKS],
        AGAIN: decided[AGAIN],
        COUNTS: decided[COUNTS],
        WITNESSED: decided[WITNESSED],
        READ: records[READ],
        SIGHTED: records[SIGHTED],
        _DOUBTS: doubts,
        _PEOPLE: {"roster": roster[ROWS], "signals": signals[MEETINGS], **people},
    }


def build_decisions(
    pipeline: beam.Pipeline,
    settings: ReleaseSettings,
    log: str,
    rules: ReleaseRules,
    keys: ReleaseKeys,
    stage: str,
) -> Any:
    """Decide about everything in quarantine, and release nothing.

    Args:
        pipeline: The pipeline to add to.
        settings: What every step needs to know.
        log: The store that decisions are written to; nothing is committed there.
        rules: Policies and registry.
        keys: The reading side's keys; they travel as a path.
        stage: What the decisions are for, as their log says it.

    Returns:
        FileRecord of the files of decisions.
    """
    start = pipeline | "Start" >> beam.Create([settings.run_id], reshuffle=False)
    decided = _decided("Only", start, {}, settings, rules, keys, stage, log=log)
    return decided[FILES]
