"""The linter refuses what a reviewer would, and names the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.contract import bundled_contract_files, load_contracts
from schemas.contract_lint import LintProblem, contract_files, lint_contracts
from schemas.errors import ConfigurationError
from tests.unit.schemas.contract_samples import HEADER, LAST_LINE, field, prop, with_field, written


def lint(folder: Path, text: str) -> list[LintProblem]:
    return lint_contracts([written(folder, text)])


RANGE = "minimum: 0, maximum: 100"
SHORT = 'pattern: "[a-z]{1,9}", maxLength: 9'

REFUSED = [
    ("UNCLASSIFIED", "{name: note, logicalType: string}"),
    ("UNKNOWN_CLASSIFICATION", field("note", "string", "service.misc")),
    ("FREE_TEXT", field("note", "string", "service.diagnostics")),
    ("FREE_TEXT", field("note", "string", "metadata", options='pattern: "[a-z ]{1,40}", maxLength: 40')),
    ("FREE_TEXT", field("note", "string", "metadata", options='pattern: "[a-z]{1,80}", maxLength: 80')),
    ("ADDRESS", field("note", "string", "metadata", options='pattern: "[a-z@]{1,9}", maxLength: 9')),
    ("OPAQUE", field("note", "string", "metadata", options='pattern: "[A-Za-z0-9+/]{1,48}", maxLength: 48')),
    ("PATTERN_UNCHECKED", field("note", "string", "metadata", options='pattern: ".{1,9}", maxLength: 9')),
    ("DERIVED_FROM_CONTENT", field("audioLevel", "number", "service.telemetry", options=RANGE)),
    ("DERIVED_FROM_CONTENT", field("is_speaking", "boolean", "service.telemetry")),
    ("DERIVED_FROM_CONTENT", field("transcript_words", "integer", "service.usage", options=RANGE)),
    ("DERIVED_FROM_CONTENT", field("rank", "number", "metadata", prop("derivedFrom", "topic"), RANGE)),
    (
        "DERIVED_FROM_CONTENT",
        field("n", "number", "service.usage", "", RANGE, "transformSourceObjects: [topic]"),
    ),
    ("DERIVED_FROM_STRICTER", field("n", "number", "service.usage", prop("derivedFrom", "[time]"), RANGE)),
    ("UNKNOWN_SOURCE_FIELD", field("n", "number", "service.usage", prop("derivedFrom", "[gone]"), RANGE)),
    ("WAIVER_UNEXPLAINED", field("is_speaking", "boolean", "metadata", prop("notDerived", "no"))),
    ("WAIVER_UNUSED", field("rank", "boolean", "metadata", prop("notDerived", "set by the user"))),
    ("LOOKS_PERSONAL", field("user_name", "string", "metadata", options=SHORT)),
    ("LOOKS_PERSONAL", field("phone", "integer", "metadata", options="minimum: 0, maximum: 9999999999")),
    ("LOOKS_PERSONAL", field("number", "integer", "metadata", options="minimum: 0, maximum: 9999999999")),
    ("UNBOUNDED", field("loss", "number", "service.telemetry")),
    ("BAD_BOUNDS", field("loss", "number", "service.telemetry", options='minimum: 0, maximum: "100"')),
    ("BAD_BOUNDS", field("loss", "number", "service.telemetry", options="minimum: 9, maximum: 1")),
    ("UNENFORCED_OPTION", field("loss", "number", "service.telemetry", options=f"{RANGE}, multipleOf: 2")),
    ("BAD_VALUES", field("state", "string", "metadata", prop("values", "[yes, no]"))),
    ("BAD_VALUES", field("state", "string", "metadata", prop("values", "[on, '']"))),
    ("BAD_VALUES", field("state", "string", "content.chat", prop("values", "[a, ~]"))),
    ("BAD_VALUES", field("state", "string", "metadata", prop("values", "[a, a]"))),
    ("BAD_CUT", field("x", "string", "identifier.direct", prop("cut", "{after: a, values: [on]}"))),
    ("BAD_KIND_BY", field("x", "string", "content.file", prop("kindBy", "{field: codec, map: {on: audio}}"))),
    ("BAD_VALUES", field("state", "string", "metadata", prop("values", "[]"))),
    ("PROTECTION_MISSING", field("key", "string", "secret")),
    ("PROTECTION_REFUSED", field("key", "string", "secret", prop("protection", "keep"))),
    ("PROTECTION_REFUSED", field("text", "string", "content.chat", prop("protection", "keep"))),
    ("UNKNOWN_PROPERTY", field("key", "string", "content.chat", prop("protecton", "drop"))),
    ("UNKNOWN_KEY", "{name: x, logicalType: string, classification: content.chat, clasification: secret}"),
    ("REPEATED_KEY", "{name: x, classification: content.chat, classification: secret}"),
    (
        "REPEATED_KEY",
        field("x", "string", "secret", f"{prop('protection', 'seal')}, {prop('protection', 'drop')}"),
    ),
    ("BAD_TYPE", field("x", "text", "content.chat")),
    ("MISSING_TYPE", "{name: x, classification: content.chat}"),
    ("BAD_OPAQUE", field("x", "string", "content.chat", prop("opaque", "true"))),
    ("BAD_IDENTIFIER", field("x", "boolean", "metadata", prop("identifies", "email"))),
    ("BAD_IDENTIFIER_TYPE", field("x", "string", "identifier.direct", prop("identifies", "E Mail"))),
    ("BAD_TEXT_FORM", field("x", "string", "content.chat", prop("textForm", "numeric_string"))),
    (
        "UNKNOWN_SIBLING",
        field("x", "string", "content.file", prop("kindBy", "{field: gone, map: {A: audio}}")),
    ),
    ("BAD_KIND_BY", field("x", "boolean", "metadata", prop("kindBy", "{field: codec, map: {A: audio}}"))),
    ("ALIAS_CLASH", field("x", "boolean", "metadata", prop("aliases", "[topic]"))),
    (
        "OPEN_LIST",
        "{name: v, logicalType: array, items: " + field("v", "number", "metadata", "", RANGE) + "}",
    ),
    (
        "OPEN_LIST",
        "{name: v, logicalType: array, items: " + field("v", "string", "metadata", "", SHORT) + "}",
    ),
]


@pytest.mark.parametrize(("code", "line"), REFUSED)
def test_a_field_is_refused_at_its_line(tmp_path: Path, code: str, line: str) -> None:
    problems = lint(tmp_path, with_field(line))
    assert code in {problem.code for problem in problems}
    assert {problem.file for problem in problems} == {str(tmp_path / "call.yaml")}
    expected = {LAST_LINE + 1} if code != "ALIAS_CLASH" else {12}
    assert {problem.line for problem in problems if problem.code == code} == expected


TAKEN = [
    field("audioLevel", "number", "content.audio"),
    field("speech_filter", "boolean", "service.usage", prop("notDerived", "a setting of the client")),
    field("has_transcript", "boolean", "service.usage"),
    field("ip_family", "integer", "service.telemetry", prop("values", "[4, 6]")),
    field(
        "trace",
        "string",
        "service.diagnostics",
        prop("opaque", "id"),
        'pattern: "[0-9a-f]{32}", maxLength: 32',
    ),
    field(
        "received",
        "integer",
        "service.telemetry",
        prop("unit", "bytes"),
        "minimum: 0, maximum: 1000000000000",
    ),
    field("device_name", "string", "metadata", prop("notPersonal", "set by our build"), SHORT),
    field(
        "serial",
        "integer",
        "metadata",
        prop("notPersonal", "counts our packets"),
        "minimum: 0, maximum: 4294967295",
    ),
    field("email_language", "string", "metadata", options=SHORT),
    field("key", "string", "secret", prop("protection", "drop")),
    "{name: v, logicalType: array, items: "
    + field("v", "string", "metadata", prop("values", "[a, b]"))
    + "}",
    "{name: v, logicalType: array, classification: content.embedding}",
    field("microphone", "string", "service.telemetry", options=SHORT),
    field("n", "number", "content.audio", prop("derivedFrom", "[topic]")),
]


@pytest.mark.parametrize("line", TAKEN)
def test_a_sound_field_is_taken(tmp_path: Path, line: str) -> None:
    assert lint(tmp_path, with_field(line)) == []


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (
            "        customProperties: [{property: identifies, value: cofferdam.user_id}]\n",
            "",
            "BAD_ENVELOPE",
        ),
        (
            "identifier.meeting",
            "metadata, customProperties: [{property: values, value: [a]}]",
            "BAD_ENVELOPE",
        ),
        ("{name: time, logicalType: timestamp", "{name: time, logicalType: integer", "BAD_ENVELOPE"),
        ("meeting: call", "meting: call", "UNKNOWN_ROLE"),
        ("meeting: call", "meeting: gone", "ROLE_WITHOUT_FIELD"),
        (
            "value: [call.quality]}",
            "value: [call.quality]}\n      - {property: roster, value: {call.quality: came}}",
            "BAD_ROSTER",
        ),
        (
            "value: {id: id, time: time, meeting: call, participant: user}",
            "value: {}\n      - {property: roster, value: {call.quality: join}}",
            "ROSTER_WITHOUT_ROLE",
        ),
        ("kind: DataContract", "kind: Contract", "BAD_HEADER"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "BAD_HEADER"),
        ("status: active", "state: active", "NOT_ODCS"),
        ("status: active", "status: [active", "NOT_YAML"),
        ("value: cofferdam}", "value: other}", "UNKNOWN_SOURCE"),
    ],
)
def test_a_contract_is_refused(tmp_path: Path, before: str, after: str, code: str) -> None:
    assert before in HEADER
    assert code in {problem.code for problem in lint(tmp_path, HEADER.replace(before, after))}


def test_the_sample_contract_is_sound(tmp_path: Path) -> None:
    assert lint(tmp_path, HEADER) == []


SHAPES = """\
apiVersion: v3.1.0
kind: DataContract
id: shapes
version: 1.0.0
status: active
customProperties: [{property: role, value: shapes}]
schema:
  - name: device
    properties:
      - {name: note, logicalType: string, classification: metadata}
  - name: loop
    properties:
      - {name: again, logicalType: object, customProperties: [{property: shape, value: loop}]}
"""


def _with_shape(folder: Path, shape: str) -> Path:
    written(folder, SHAPES, "shapes.yaml")
    text = with_field(f"{{name: d, logicalType: object, customProperties: [{prop('shape', shape)}]}}")
    text += f"      - {{name: e, logicalType: object, customProperties: [{prop('shape', shape)}]}}\n"
    return written(
        folder, text.replace("schema:", "  - {property: shapes, value: [shapes.yaml]}\nschema:", 1)
    )


def test_a_problem_in_a_shape_is_named_once_in_the_shapes_file(tmp_path: Path) -> None:
    (problem,) = lint_contracts([_with_shape(tmp_path, "device")])
    assert (problem.file, problem.line) == (str(tmp_path / "shapes.yaml"), 10)
    assert (problem.field, problem.code) == ("call_quality.d.note", "FREE_TEXT")


def test_a_shape_that_holds_itself_is_refused(tmp_path: Path) -> None:
    problems = lint_contracts([_with_shape(tmp_path, "loop")])
    assert {problem.code for problem in problems} == {"ENDLESS_SHAPE"}


def test_a_shape_that_nobody_uses_is_refused(tmp_path: Path) -> None:
    problems = lint_contracts([_with_shape(tmp_path, "device"), tmp_path / "shapes.yaml"])
    assert [(problem.field, problem.line) for problem in problems if problem.code == "SHAPE_UNUSED"] == [
        ("loop", 11)
    ]


def test_a_table_described_twice_is_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, HEADER, name) for name in ("a.yaml", "b.yaml")]
    assert {problem.code for problem in lint_contracts(files)} == {"DESCRIBED_TWICE"}


def test_yaml_that_holds_itself_is_refused(tmp_path: Path) -> None:
    problems = lint(tmp_path, with_field("&a {name: x, logicalType: object, properties: [*a]}"))
    assert {problem.code for problem in problems} == {"NOT_ODCS"}


def test_names_without_contracts_are_refused(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "gone.yaml"):
        with pytest.raises(ConfigurationError, match="NO_CONTRACTS"):
            contract_files([name])


def test_the_bundled_contracts_have_no_problem() -> None:
    assert [str(problem) for problem in lint_contracts(bundled_contract_files())] == []


MISREAD = [
    with_field(field("state", "string", "metadata", prop("values", "[on, '']"))),
    with_field(field("x", "string", "identifier.direct", prop("cut", "{after: a, values: [on, off]}"))),
    with_field(field("x", "string", "content.file", prop("kindBy", "{field: codec, map: {on: audio}}"))),
    HEADER.replace(
        "{property: events, value: [call.quality]}",
        "{property: events, value: [call.quality]}\n"
        "      - {property: deletionSignal, value: [call.quality]}\n"
        "      - {property: deletionSignalWhen, value: {field: codec, values: [on, '']}}",
    ),
]


@pytest.mark.parametrize("text", MISREAD)
def test_a_word_that_yaml_misreads_is_to_be_quoted_and_loads_nowhere(tmp_path: Path, text: str) -> None:
    (problem,) = lint(tmp_path, text)
    assert "quote it" in problem.message
    with pytest.raises(ConfigurationError, match="quote it"):
        load_contracts([tmp_path / "call.yaml"])
    assert lint(tmp_path, re.sub(r"\b(on|off)\b", "'\\1'", text)) == []
