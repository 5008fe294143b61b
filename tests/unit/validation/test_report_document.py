from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from validation.reasons import CATALOGUE
from validation.report_document import report_schema, schema_text
from validation.report_words import MEASURES, RISKS

PUBLISHED = Path(__file__).parents[3] / "docs" / "report.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), (
        "renew it: write validation.report_document.schema_text() there"
    )


def test_the_schema_is_one_and_allows_nothing_that_is_not_declared() -> None:
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    kinds = json.loads(json.dumps(schema))["$defs"]
    assert [name for name, kind in kinds.items() if kind.get("additionalProperties") is not False] == []


def test_every_risk_is_told_by_reasons_that_exist() -> None:
    assert {code for codes in RISKS.values() for code in codes} <= set(CATALOGUE)


def test_every_measure_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[3]
    named = [test for _, tests in MEASURES.values() for test in tests]
    assert [test for test in named if not (root / test).is_file()] == []
