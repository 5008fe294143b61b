"""Loading a contract: what its fields come to, and what is refused before any event is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.classification import Protection
from schemas.contract import ArrayNode, EventShape, Field, KindBy, ObjectNode, load_contracts
from schemas.contract_reading import read_contracts
from schemas.errors import ConfigurationError
from tests.unit.schemas.contract_samples import HEADER, field, prop, with_field, written

RANGE = "minimum: 0, maximum: 100"


def shape_of(folder: Path, text: str) -> EventShape:
    (shape,) = load_contracts([written(folder, text)]).shapes
    return shape


def read_field(folder: Path, line: str) -> Field:
    """The last field of a contract with one more."""
    return shape_of(folder, with_field(line)).fields[-1]


def codes(folder: Path, text: str) -> set[str]:
    contracts, problems = read_contracts([written(folder, text)])
    assert bool(contracts) is not bool(problems)
    return {problem.code for problem in problems}


# What is read.


def test_a_contract_says_where_everything_stands(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, HEADER)
    assert (shape.table, shape.source, shape.contract_label) == (
        "call_quality",
        "cofferdam",
        "cofferdam-call@1.0.0",
    )
    assert (shape.type_at, shape.events) == (("type",), ("call.quality",))
    assert shape.envelope == {
        "id": ("id",),
        "time": ("time",),
        "meeting": ("call",),
        "participant": ("user",),
    }
    assert {entry.path: entry.column for entry in shape.fields} == {
        **dict.fromkeys([("id",), ("type",), ("time",), ("call",), ("user",), ("topic",)]),
        ("jitter",): "jitter",
        ("codec",): "codec",
    }


def test_a_fields_marks_are_read(tmp_path: Path) -> None:
    marks = ", ".join(
        [
            prop("unit", "ms"),
            prop("textForm", "number_with_unit"),
            prop("aliases", "[Loss]"),
            prop("accepts", "[string]"),
        ]
    )
    made = read_field(
        tmp_path, field("loss", "number", "service.telemetry", marks, RANGE, 'description: "Lost"')
    )
    assert (made.unit, made.text_form, made.aliases, made.accepts) == (
        "ms",
        "number_with_unit",
        ("Loss",),
        ("string",),
    )
    assert (made.minimum, made.maximum, made.description) == (0, 100, "Lost")
    assert (made.protection, made.column, made.is_list) == (Protection.KEEP, "loss", False)


def test_a_closed_set_a_pattern_and_an_identifier_type_are_read(tmp_path: Path) -> None:
    assert read_field(tmp_path, field("x", "integer", "metadata", prop("values", "[1, 2]"))).values == (1, 2)
    bounded = read_field(
        tmp_path, field("x", "string", "metadata", "", 'pattern: "[a-z]{1,9}", maxLength: 9')
    )
    assert (bounded.pattern, bounded.max_length, bounded.values) == ("[a-z]{1,9}", 9, None)
    assert (
        read_field(
            tmp_path, field("x", "string", "identifier.direct", prop("identifies", "email"))
        ).identifies
        == "email"
    )


def test_kinds_by_a_sibling_and_cuts_are_read(tmp_path: Path) -> None:
    kinds = prop("kindBy", "{field: codec, map: {opus: audio}, otherwise: video}")
    assert read_field(tmp_path, field("x", "string", "content.unclassified", kinds)).kind_by == KindBy(
        "codec", {"opus": "audio"}, "video"
    )
    plain = prop("kindBy", "{field: codec, map: {opus: audio}}")
    made = read_field(tmp_path, field("x", "string", "content.unclassified", plain)).kind_by
    assert made is not None
    assert made.otherwise == "unclassified"
    cut = read_field(
        tmp_path, field("x", "string", "identifier.direct", prop("cut", "{after: ': ', values: [a]}"))
    ).cut
    assert cut is not None
    assert (cut.after, cut.values) == (": ", ("a",))


@pytest.mark.parametrize(
    ("line", "protection", "column"),
    [
        (field("x", "boolean", "service.usage"), Protection.KEEP, "x"),
        (field("x", "boolean", "service.usage", prop("protection", "seal")), Protection.SEAL, None),
        (field("x", "string", "identifier.pseudonymous"), Protection.PSEUDONYM, "x"),
        (field("x", "string", "identifier.direct"), Protection.SEAL, None),
        (
            field("x", "string", "identifier.direct", prop("protection", "truncate_ip")),
            Protection.TRUNCATE_IP,
            "x",
        ),
        (field("x", "string", "content.chat"), Protection.SEAL, None),
        (field("x", "string", "secret", prop("protection", "drop")), Protection.DROP, None),
        (
            field("x", "string", "identifier.direct", prop("cut", "{after: ':', values: [a]}")),
            Protection.SEAL,
            "x",
        ),
    ],
)
def test_only_what_is_protected_in_clear_has_a_column(
    tmp_path: Path, line: str, protection: Protection, column: str | None
) -> None:
    made = read_field(tmp_path, line)
    assert (made.protection, made.column) == (protection, column)


def test_nested_objects_arrays_and_lists(tmp_path: Path) -> None:
    inner = field("State", "string", "metadata", prop("values", "[a]"))
    shape = shape_of(
        tmp_path,
        with_field(f"{{name: a, logicalType: array, items: {{logicalType: object, properties: [{inner}]}}}}")
        + "      - {name: b, logicalType: array, items: {logicalType: any, classification: content.chat}}\n"
        + f"      - {{name: c, logicalType: object, properties: [{inner}]}}\n"
        + "      - {name: d, logicalType: object, classification: content.chat}\n",
    )
    children = shape.root.children
    assert isinstance(children["a"], ArrayNode)
    assert isinstance(children["c"], ObjectNode)
    found = {entry.path: (entry.column, entry.is_list) for entry in shape.fields[-4:]}
    assert found == {
        ("a", "[]", "State"): ("state", False),
        ("b",): (None, True),
        ("c", "State"): ("c_state", False),
        ("d",): (None, False),
    }


def test_a_column_takes_the_name_around_it_where_its_own_is_taken(tmp_path: Path) -> None:
    inner = field("event_type", "string", "metadata", prop("values", "[a]"))
    text = with_field(f"{{name: a, logicalType: object, properties: [{inner}]}}")
    assert shape_of(tmp_path, text).fields[-1].column == "a_event_type"


def test_a_shared_shape_stands_where_it_is_referred_to(tmp_path: Path) -> None:
    shapes = HEADER.split("schema:")[0].replace("source, value: cofferdam", "role, value: shapes")
    person = "schema:\n  - name: person\n    logicalType: object\n    properties:\n"
    person += f"      - {field('age', 'boolean', 'metadata')}\n"
    written(tmp_path, shapes + person, "shared.yaml")
    text = (
        HEADER.replace("schema:", "  - {property: shapes, value: [shared.yaml]}\nschema:")
        + "      - {name: who, logicalType: object, customProperties: [{property: shape, value: person}]}\n"
    )
    files = [written(tmp_path, text), tmp_path / "shared.yaml"]
    (shape,) = load_contracts(files).shapes
    assert shape.fields[-1].path == ("who", "age")
    assert codes(tmp_path, text.replace("value: person", "value: nobody")) == {
        "UNKNOWN_SHAPE",
        "UNCLASSIFIED",
    }


# What is refused.

REFUSED = [
    ("BAD_NAME", field("topic", "string", "content.chat")),
    ("BAD_NAME", "{logicalType: string, classification: content.chat}"),
    ("BAD_NAME", field("'9'", "boolean", "metadata")),
    ("COLUMN_CLASH", field("Jitter", "boolean", "metadata")),
    ("COLUMN_CLASH", field("event_type", "boolean", "metadata")),
    ("UNCLASSIFIED", "{name: x, logicalType: string}"),
    ("UNCLASSIFIED", "{name: x, logicalType: object}"),
    ("UNCLASSIFIED", "{name: x, logicalType: array}"),
    ("UNCLASSIFIED", "{name: x, logicalType: array, items: {logicalType: string}}"),
    ("UNKNOWN_CLASSIFICATION", field("x", "string", "service.other")),
    ("PROTECTION_MISSING", field("x", "string", "secret")),
    ("PROTECTION_REFUSED", field("x", "string", "content.chat", prop("protection", "keep"))),
    ("PROTECTION_REFUSED", field("x", "string", "secret", prop("protection", "pseudonym"))),
    ("PROTECTION_REFUSED", field("x", "string", "metadata", prop("protection", "no_such"))),
    (
        "UNKNOWN_KIND",
        field("x", "string", "content.file", prop("kindBy", "{field: codec, map: {a: nonsense}}")),
    ),
    (
        "UNKNOWN_KIND",
        field("x", "string", "content.file", prop("kindBy", "{field: codec, map: {}, otherwise: x}")),
    ),
    ("BAD_CUT", field("x", "string", "identifier.direct", prop("cut", "{after: '', values: [a]}"))),
    ("BAD_CUT", field("x", "string", "identifier.direct", prop("cut", "{after: ':', values: []}"))),
    (
        "BAD_CUT",
        field(
            "x", "string", "metadata", prop("cut", "{after: ':', values: [a]}"), 'pattern: "a", maxLength: 1'
        ),
    ),
    ("BAD_TEXT_FORM", field("x", "number", "service.usage", prop("textForm", "words"), RANGE)),
    ("UNIT_MISSING", field("x", "number", "service.usage", prop("textForm", "number_with_unit"), RANGE)),
    ("BAD_TYPE", field("x", "object", "metadata")),
    ("UNBOUNDED", field("x", "integer", "metadata")),
    ("UNBOUNDED", field("x", "number", "metadata", options="minimum: 0")),
    ("UNBOUNDED", field("x", "number", "metadata", options="maximum: 0")),
    ("BAD_BOUNDS", field("x", "number", "metadata", options="minimum: true, maximum: 1")),
    ("BAD_BOUNDS", field("x", "number", "metadata", options="minimum: 0, maximum: .nan")),
    ("BAD_BOUNDS", field("x", "integer", "metadata", options="minimum: -.inf, maximum: 1")),
    ("BAD_BOUNDS", field("x", "string", "metadata", options='pattern: "a", maxLength: "9"')),
    ("FREE_TEXT", field("x", "string", "metadata")),
    ("FREE_TEXT", field("x", "string", "metadata", options='pattern: "[a-z]{1,9}"')),
    ("FREE_TEXT", field("x", "string", "metadata", options="maxLength: 9")),
    ("FREE_TEXT", field("x", "string", "metadata", options='pattern: "[a-z]{1,65}", maxLength: 65')),
]


@pytest.mark.parametrize(("code", "line"), REFUSED)
def test_a_field_that_could_not_be_trusted_is_refused(tmp_path: Path, code: str, line: str) -> None:
    assert code in codes(tmp_path, with_field(line))


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("UNKNOWN_SOURCE", "source, value: cofferdam", "source, value: elsewhere"),
        ("MISSING", "{property: typeAt, value: type}", "{property: typeAt, value: ''}"),
        ("MISSING", "id: cofferdam-call", "id: ''"),
        ("MISSING", "version: 1.0.0", "version: ''"),
        ("NO_EVENTS", "value: [call.quality]", "value: []"),
        ("NO_TYPE_FIELD", "name: type, logical", "name: kind, logical"),
        ("UNKNOWN_ROLE", "{id: id, time", "{id: id, mood: call, time"),
        ("ROLE_WITHOUT_FIELD", "time: time", "time: data.time"),
        ("BAD_NAME", "name: call_quality", "name: Call quality"),
        ("NOT_ODCS", "status: active", "status: [1]"),
        ("NOT_YAML", "schema:", "schema: [\n"),
        (
            "BAD_ROSTER",
            "      - property: envelope",
            "      - {property: roster, value: {call.quality: danced}}\n      - property: envelope",
        ),
        (
            "BAD_ROSTER",
            "      - property: envelope",
            "      - {property: roster, value: {call.other: join}}\n      - property: envelope",
        ),
    ],
)
def test_a_contract_that_could_not_be_trusted_is_refused(
    tmp_path: Path, code: str, old: str, new: str
) -> None:
    assert old in HEADER
    assert code in codes(tmp_path, HEADER.replace(old, new))


def test_a_shape_that_holds_itself_is_refused(tmp_path: Path) -> None:
    shared = HEADER.split("schema:")[0].replace("source, value: cofferdam", "role, value: shapes")
    again = "{name: next, logicalType: object, customProperties: [{property: shape, value: node}]}"
    written(
        tmp_path,
        f"{shared}schema:\n  - name: node\n    logicalType: object\n    properties:\n      - {again}\n",
        "shared.yaml",
    )
    text = with_field(again).replace("schema:", "  - {property: shapes, value: [shared.yaml]}\nschema:")
    assert "ENDLESS_SHAPE" in codes(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    _, problems = read_contracts([tmp_path / "gone.yaml"])
    assert [(problem.file, problem.code) for problem in problems] == [("gone.yaml", "FILE_UNREADABLE")]
    missing = HEADER.replace("schema:", "  - {property: shapes, value: [gone.yaml]}\nschema:")
    assert codes(tmp_path, missing) == {"FILE_UNREADABLE"}


@pytest.mark.parametrize(
    "change", [("name: call_quality", "name: other_table"), ("[call.quality]", "[call.other]")]
)
def test_two_contracts_that_claim_the_same_are_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    one = written(tmp_path, HEADER)
    two = written(tmp_path, HEADER.replace("id: cofferdam-call", "id: second").replace(*change), "two.yaml")
    contracts, problems = read_contracts([one, two])
    assert [problem.code for problem in problems] == ["DESCRIBED_TWICE"]
    assert len(contracts) == 2


def test_an_event_named_twice_in_one_contract_is_refused(tmp_path: Path) -> None:
    assert codes_of_pair(tmp_path, "[call.quality, call.quality]") == ["DESCRIBED_TWICE"] * 2


def codes_of_pair(folder: Path, events: str) -> list[str]:
    _, problems = read_contracts([written(folder, HEADER.replace("[call.quality]", events))])
    return [problem.code for problem in problems]


def test_the_first_problems_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    lines = "".join(f"      - {{name: x{number}, logicalType: string}}\n" for number in range(7))
    with pytest.raises(ConfigurationError) as caught:
        load_contracts([written(tmp_path, HEADER + lines)])
    assert caught.value.code == "CONTRACT_INVALID"
    assert caught.value.message.count("UNCLASSIFIED") == 5
    assert "and 2 more" in caught.value.message
    assert "call.yaml: call_quality.x0: UNCLASSIFIED" in caught.value.message


def test_a_bound_stays_a_number(tmp_path: Path) -> None:
    made = read_field(
        tmp_path, field("x", "integer", "metadata", options="minimum: -5, maximum: 18446744073709551615")
    )
    bounds: tuple[Any, ...] = (made.minimum, made.maximum)
    assert bounds == (-5, 2**64 - 1)
