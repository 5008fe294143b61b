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

from transforms.decide_telemetry import DecideTelemetry
from transforms.keys import ReleaseKeys
from transforms.release_reading import (
    AGAIN,
    ANYWHERE,
    COUNTS,
    FILES,
    MEETINGS,
    OWNERLESS,
    READ,
    ROWS,
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
from transforms.release_sink import CommitRelease, LookAgain, LostTasks, when_changed
from transforms.release_steps import DecideMeetings, FindPeople, OpenAndWrite
from transforms.telemetry_scopes import ReadTelemetry

_PEOPLE = "people"


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
    items = pipeline | "ReadItems" >> ReadItems(settings, request.recipient)  # (meeting, table[items])
    roster = pipeline | "ReadRoster" >> ReadRoster(settings)  # (meeting, table[roster])
    signals = pipeline | "ReadSignals" >> ReadSignals(settings)  # by meeting, by person, of anything
    first = _decided("First", start, items, roster, signals, settings, rules, keys, DECIDE)
    written = first[TASKS] | "OpenAndWrite" >> OpenAndWrite(settings, request.purposes, keys)

    scopes = pipeline | "ReadTelemetry" >> ReadTelemetry(settings)  # (meeting, table[scopes])
    telemetry = {"scopes": scopes, "roster": roster, **first[_PEOPLE]} | "DecideTelemetry" >> DecideTelemetry(
        settings, rules, first[OWNERLESS], first[READ]
    )
    done = (written[FILES], written[COUNTS], first[FILES], telemetry[FILES])
    sighting = start | "LookAgain" >> LookAgain(settings, rules.registry_hash, done)  # Sighting
    changed = (sighting, first[READ])
    second = _decided(
        "Second",
        start | "StartAgain" >> when_changed(*changed),
        first[AGAIN] | "ItemsAgain" >> when_changed(*changed),
        roster | "RosterAgain" >> when_changed(*changed),
        signals,
        settings,
        rules,
        keys,
        SINK,
    )
    lost = (first[TASKS] | "Decided" >> when_changed(*changed), second[TASKS]) | "LostTasks" >> LostTasks()
    _ = pipeline | "Commit" >> CommitRelease(
        settings,
        rules,
        logs=(first[FILES], second[FILES]),
        released=written[FILES],
        witnessed=(first[WITNESSED], second[WITNESSED]),
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


def _decided(
    name: str,
    start: Any,
    items: Any,
    roster: Any,
    signals: Any,
    settings: ReleaseSettings,
    rules: ReleaseRules,
    keys: ReleaseKeys,
    stage: str,
) -> Mapping[str, Any]:
    """Decide about items with the records as they are now."""
    records = start | f"{name}Records" >> ReadRecords(settings, rules, keys)  # (pseudonym, row)
    aliases = start | f"{name}Aliases" >> ReadAliases(settings, keys)  # (pseudonym, Link)
    rows = (records[ROWS], signals[ROWS]) | f"{name}Rows" >> beam.Flatten()
    inputs = {"items": items, "roster": roster, "aliases": aliases, "rows": rows}
    people = inputs | f"{name}People" >> FindPeople()  # links, rows
    meetings = {"items": items, "roster": roster, "signals": signals[MEETINGS], **people}
    doubts = (records[OWNERLESS], signals[ANYWHERE])
    step = DecideMeetings(settings, rules, keys, stage, doubts, records[READ])
    decided = meetings | f"{name}Decision" >> step
    return {
        FILES: decided[FILES],
        TASKS: decided[TASKS],
        AGAIN: decided[AGAIN],
        COUNTS: decided[COUNTS],
        WITNESSED: decided[WITNESSED],
        READ: records[READ],
        OWNERLESS: records[OWNERLESS],
        _PEOPLE: people,
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
    items = pipeline | "ReadItems" >> ReadItems(settings, rules.request.recipient)
    roster = pipeline | "ReadRoster" >> ReadRoster(settings)
    signals = pipeline | "ReadSignals" >> ReadSignals(settings)
    own = replace(settings, store=log)
    decided = _decided("Only", start, items, roster, signals, own, rules, keys, stage)
    return decided[FILES]
