"""Comparing two versions: what breaks a reader, and what leaves the sealed side."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.contract import load_contracts
from schemas.contract_diff import Comparison, Effect, compare_contracts
from tests.unit.schemas.contract_samples import HEADER, field, prop, written

NEWER = ("version: 1.0.0", "version: 1.1.0")


def compared(folder: Path, old: str, new: str) -> Comparison:
    old_set = load_contracts([written(folder, old, "old.yaml")])
    return compare_contracts(old_set, load_contracts([written(folder, new, "new.yaml")]))


def changed(text: str, *changes: tuple[str, str]) -> str:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


TOPIC = "{name: topic, logicalType: string, classification: content.meeting_title}"
KEPT_TOPIC = field("topic", "string", "service.usage", prop("values", "[a]"))
FIELD = "      - {name: flag, logicalType: boolean, classification: service.usage}\n"
IDENTIFIES = "value: cofferdam.user_id"
CODEC = "value: [opus, vp9]"
ROLES = "meeting: call, participant: user"

CASES = [
    ("FIELD_ADDED", Effect.COMPATIBLE, TOPIC, f"{TOPIC}\n{FIELD.rstrip()}"),
    ("COLUMN_ADDED", Effect.COMPATIBLE, TOPIC, f"{TOPIC}\n{FIELD.rstrip()}"),
    ("LANE_LOOSENED", Effect.LOOSENING, TOPIC, KEPT_TOPIC),
    ("CLASSIFICATION_CHANGED", Effect.INCOMPATIBLE, "content.meeting_title", "content.chat"),
    ("CLASSIFICATION_CHANGED", Effect.COMPATIBLE, "service.telemetry", "service.usage"),
    ("LANE_TIGHTENED", Effect.TIGHTENING, "service.telemetry", "metadata"),
    ("FIELD_REMOVED", Effect.INCOMPATIBLE, f"      - {TOPIC}\n", ""),
    ("COLUMN_REMOVED", Effect.INCOMPATIBLE, "name: codec", "name: coder"),
    ("COLUMN_RETYPED", Effect.INCOMPATIBLE, "logicalType: number", "logicalType: integer"),
    ("UNIT_CHANGED", Effect.INCOMPATIBLE, "value: ms}", "value: s}"),
    ("EVENT_REMOVED", Effect.INCOMPATIBLE, "[call.quality]", "[call.ended]"),
    ("EVENT_ADDED", Effect.COMPATIBLE, "[call.quality]", "[call.quality, call.ended]"),
    ("EVENT_MOVED", Effect.INCOMPATIBLE, "name: call_quality", "name: quality"),
    ("TABLE_REMOVED", Effect.INCOMPATIBLE, "name: call_quality", "name: quality"),
    ("TABLE_ADDED", Effect.COMPATIBLE, "name: call_quality", "name: quality"),
    ("IDENTIFIES_CHANGED", Effect.INCOMPATIBLE, IDENTIFIES, "value: email"),
    ("ENVELOPE_CHANGED", Effect.INCOMPATIBLE, ROLES, "meeting: call"),
    ("BOUNDS_WIDENED", Effect.COMPATIBLE, CODEC, "value: [opus, vp9, av1]"),
    ("BOUNDS_NARROWED", Effect.COMPATIBLE, CODEC, "value: [opus]"),
    ("BOUNDS_CHANGED", Effect.COMPATIBLE, CODEC, "value: [opus, av1]"),
    ("BOUNDS_WIDENED", Effect.COMPATIBLE, "maximum: 60000", "maximum: 70000"),
    ("BOUNDS_NARROWED", Effect.COMPATIBLE, "minimum: 0", "minimum: 5"),
    ("INPUT_CHANGED", Effect.COMPATIBLE, "value: ms}", f"value: ms}}, {prop('textForm', 'numeric_string')}"),
    ("LANE_TIGHTENED", Effect.TIGHTENING, f"{IDENTIFIES}}}", f"{IDENTIFIES}}}, {prop('protection', 'seal')}"),
]


@pytest.mark.parametrize(("code", "effect", "before", "after"), CASES)
def test_a_change_has_its_effect(tmp_path: Path, code: str, effect: Effect, before: str, after: str) -> None:
    result = compared(tmp_path, HEADER, changed(HEADER, NEWER, (before, after)))
    assert (code, effect) in {(change.code, change.effect) for change in result.changes}
    assert result.is_loosened == (effect is Effect.LOOSENING)


def topic(label: str, custom: str = "") -> str:
    return changed(HEADER, (TOPIC, field("topic", "string", label, custom)))


def test_a_lighter_protection_is_a_loosening(tmp_path: Path) -> None:
    strict = topic("identifier.direct", prop("protection", "pseudonym"))
    light = changed(strict, NEWER, ("value: pseudonym}", "value: truncate_ip}"))
    (change,) = compared(tmp_path, strict, light).changes
    assert (change.code, change.effect, change.field) == ("PROTECTION_CHANGED", Effect.LOOSENING, "topic")


def test_to_forget_a_dropped_field_is_a_loosening(tmp_path: Path) -> None:
    without = changed(HEADER, NEWER, (f"      - {TOPIC}\n", ""))
    result = compared(tmp_path, topic("secret", prop("protection", "drop")), without)
    assert [change.effect for change in result.changes] == [Effect.LOOSENING]


def test_a_kept_fragment_is_a_loosening(tmp_path: Path) -> None:
    cut = topic("identifier.direct", prop("cut", "{after: 'R: ', values: [a]}"))
    result = compared(tmp_path, topic("identifier.direct"), changed(cut, NEWER))
    assert ("FRAGMENT_KEPT", Effect.LOOSENING) in {(change.code, change.effect) for change in result.changes}


def test_one_version_says_one_thing(tmp_path: Path) -> None:
    result = compared(tmp_path, HEADER, changed(HEADER, (CODEC, "value: [opus]")))
    assert not result.is_compatible
    assert "VERSION_UNCHANGED" in {change.code for change in result.changes}


def test_the_same_contracts_do_not_differ(tmp_path: Path) -> None:
    described = changed(
        HEADER, ("name: jitter\n", "name: jitter\n        description: how uneven packets come\n")
    )
    result = compared(tmp_path, HEADER, described)
    assert result.changes == ()
    assert result.is_compatible


def test_the_gravest_changes_come_first(tmp_path: Path) -> None:
    new = changed(HEADER, NEWER, (TOPIC, KEPT_TOPIC), ("value: ms}", "value: s}"), (CODEC, "value: [opus]"))
    effects = [change.effect for change in compared(tmp_path, HEADER, new).changes]
    assert effects == sorted(effects, key=list(Effect).index)
    assert effects[0] is Effect.LOOSENING
