from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.explain_command import explain
from pipelines.policy_command import policy
from tests.unit.validation.judging import PlainGate
from validation.decisions import Decider
from validation.policy_loading import SHIPPED_PINS, SHIPPED_PROFILES, read_json_object
from validation.reasons import CATALOGUE
from validation.reject_reasons import REJECT_REASONS

ITEM: dict[str, Any] = {
    "kind": "chat",
    "lane": "content",
    "purpose": "ai_evaluation",
    "subjects": [{"id": "p", "region": "br"}],
    "recorded_end": "2026-05-01T10:00:00Z",
    "controller": "acme",
    "tenant": "t",
    "meeting": "m",
    "recipient": "first_party",
}
RELEASED = {"decision": "RELEASE", "primary": "OK", "reasons": [], "advisories": []}
HELD = {"decision": "QUARANTINE", "primary": "NO_CONSENT", "reasons": ["NO_CONSENT"], "advisories": []}


def vector(vector_id: str, expect: Any, **item: Any) -> dict[str, Any]:
    return {
        "id": vector_id,
        "as_of": "2026-06-01T00:00:00Z",
        "item": {**ITEM, **item},
        "records": [],
        "expect": expect,
    }


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(policy, [str(argument) for argument in arguments])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge by the same suites, without waiting for Great Expectations."""
    monkeypatch.setattr("pipelines.vector_files.Decider", lambda rules: Decider(rules, PlainGate()))


@pytest.fixture
def vectors(tmp_path: Path) -> Any:
    def write(*entries: Any, name: str = "vectors.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"registry": {"keys": {}, "terms": {}}, "vectors": list(entries)}))
        return path

    return write


def test_all_as_expected_ends_with_the_counts(vectors: Any) -> None:
    path = vectors(vector("one", HELD), vector("two", RELEASED, purpose="service_delivery"))
    result = run("test", path)
    assert (result.exit_code, result.stdout) == (0, "2 vectors: 2 as expected, 0 differ\n")


@pytest.mark.usefixtures("quick")
def test_each_difference_has_a_line(vectors: Any) -> None:
    path = vectors(vector("one", HELD), vector("two", {"decision": "RELEASE", "primary": "OK"}))
    result = run("test", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        'vectors.json two: decision is "QUARANTINE", not "RELEASE"',
        'vectors.json two: primary is "NO_CONSENT", not "OK"',
        "2 vectors: 1 as expected, 1 differ",
    ]


@pytest.mark.usefixtures("quick")
def test_only_what_is_expected_is_compared(vectors: Any) -> None:
    assert run("test", vectors(vector("one", {}), vector("two", {"reasons": ["NO_CONSENT"]}))).exit_code == 0


@pytest.mark.usefixtures("quick")
def test_expecting_what_no_decision_has_is_a_difference(vectors: Any) -> None:
    result = run("test", vectors(vector("one", {"colour": "red"})))
    assert (result.exit_code, "colour is nothing" in result.stdout) == (1, True)


def test_json_gives_every_decision_by_id(vectors: Any) -> None:
    path = vectors(vector("one", HELD), vector("two", HELD, purpose="service_delivery"))
    result = run("test", path, "--json")
    assert json.loads(result.stdout) == {"one": HELD, "two": RELEASED}
    assert (result.exit_code, "2 vectors: 1 as expected, 1 differ" in result.stderr) == (1, True)


@pytest.mark.usefixtures("quick")
def test_several_files_are_decided_together(vectors: Any) -> None:
    first, second = vectors(vector("one", HELD)), vectors(vector("two", HELD), name="more.json")
    assert run("test", first, second).stdout == "2 vectors: 2 as expected, 0 differ\n"
    assert set(json.loads(run("test", first, second, "--json").stdout)) == {"one", "two"}


@pytest.mark.usefixtures("quick")
def test_json_by_id_refuses_an_id_twice(vectors: Any) -> None:
    path = vectors(vector("one", HELD), vector("one", HELD))
    result = run("test", path, "--json")
    assert (result.exit_code, "VECTOR_ID_REPEATED" in result.stderr) == (2, True)
    assert run("test", path).exit_code == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"vectors": {}}', '{"vectors": [1]}', '{"vectors": [{"expect": 1}]}']
)
def test_a_file_of_another_form_exits_with_two(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    result = run("test", path)
    assert (result.exit_code, "VECTORS_UNREADABLE" in result.stderr) == (2, True)


def test_a_missing_file_exits_with_two(tmp_path: Path) -> None:
    assert run("test", tmp_path / "none.json").exit_code == 2


@pytest.mark.usefixtures("quick")
def test_a_vector_without_anything_is_rejected_and_not_a_crash(vectors: Any) -> None:
    result = run("test", vectors({}), "--json")
    assert json.loads(result.stdout)["1"]["primary"] == "SCHEMA_INVALID"


@pytest.mark.usefixtures("quick")
def test_policies_of_ones_own_decide(vectors: Any, tmp_path: Path) -> None:
    document = read_json_object(SHIPPED_PROFILES, "policy file")
    document["profiles"]["br"]["purposes"] = {"ai_evaluation": "prohibited"}
    own = tmp_path / "own.json"
    own.write_text(json.dumps(document))
    result = run("test", vectors(vector("one", {"primary": "PURPOSE_PROHIBITED"})), "--policies", own)
    assert result.exit_code == 0


@pytest.mark.usefixtures("quick")
def test_a_refused_policy_exits_with_two(vectors: Any, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text("{}")
    result = run("test", vectors(vector("one", HELD)), "--policies", own)
    assert (result.exit_code, "POLICY_INVALID" in result.stderr) == (2, True)


def test_the_table_of_a_profile() -> None:
    result = run("table", "eu")
    assert result.exit_code == 0
    for text in (
        "ai_training",
        "consent_all",
        "GDPR Art. 6(1)(a)",
        "too vague",
        "prohibited for",
        "max_age_days: 365",
    ):
        assert text in result.stdout


def test_the_table_as_json() -> None:
    shown = json.loads(run("table", "us-ca", "--json").stdout)
    rows = {row["purpose"]: row for row in shown["purposes"]}
    assert rows["meeting_summary"]["rule"] == "consent_all"
    assert "implied_continuation" in rows["meeting_summary"]["mechanisms"]
    assert "implied_continuation" not in rows["ai_training"]["mechanisms"]
    assert (rows["service_delivery"]["who"], rows["ai_training"]["who"]) == (None, "present")
    assert shown["profile"]["capture_prior_all"] is True


def test_the_table_of_regions_together_is_the_strictest() -> None:
    shown = json.loads(run("table", "eu+us-il", "--json").stdout)
    assert shown["profile"]["biometric"] == "written_release"
    assert shown["profile"]["regions"] == ["eu", "us-il"]
    assert set(shown["purposes"][0]["basis"]) == {"eu", "us-il"}


@pytest.mark.parametrize("name", ["mars", "", "eu+mars"])
def test_an_unknown_profile_exits_with_two(name: str) -> None:
    result = run("table", name)
    assert (result.exit_code, "PROFILE_UNKNOWN" in result.stderr) == (2, True)


def test_the_pins_of_the_shipped_policies_are_printed() -> None:
    assert json.loads(run("hash").stdout) == json.loads(SHIPPED_PINS.read_text())


@pytest.mark.parametrize("code", list(CATALOGUE))
def test_every_code_is_explained(code: str) -> None:
    result = CliRunner().invoke(explain, [code])
    reason = CATALOGUE[code]
    assert result.exit_code == 0
    for text in (code, reason.sentence, reason.hook, reason.cure):
        assert text in result.stdout


def test_codes_are_explained_in_small_letters_and_as_json() -> None:
    shown = json.loads(CliRunner().invoke(explain, ["withdrawn", "--json"]).stdout)
    assert (shown["code"], shown["rank"], shown["action"]) == ("WITHDRAWN", 40, "ERASE")


def test_without_a_code_all_are_listed() -> None:
    lines = CliRunner().invoke(explain, []).stdout.splitlines()
    between = lines.index("")
    assert [line.split(":")[0] for line in lines[:between]] == list(CATALOGUE)
    assert [line.split(":")[0] for line in lines[between + 2 :]] == list(REJECT_REASONS)


def test_an_unknown_code_exits_with_two() -> None:
    result = CliRunner().invoke(explain, ["ODD"])
    assert (result.exit_code, "REASON_UNKNOWN" in result.stderr) == (2, True)
