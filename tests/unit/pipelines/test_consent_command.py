from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import OKPKey

from pipelines.consent_command import consent
from pipelines.consent_registry import lint_registry, open_registry
from schemas.consent_files import read_lines
from schemas.consent_signing import VerifiedRecord, verify_records
from schemas.errors import ConfigurationError
from schemas.registry_writing import PrivateKey, compare_pins, public_entry, write_keys, write_pins
from tests.unit.schemas.consent_samples import CANARY, change_json, make_registry, repin
from validation.policy_loading import SHIPPED_PROFILES


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(consent, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_registry(tmp_path / "registry")


def write(folder: Path, command: str, *more: str, kid: str = "k1") -> Result:
    return run(
        *(command, "--registry", folder, "--signing-key", folder / "test-keys" / f"{kid}.json"),
        *("--output", folder.parent / "records.jsonl", "--subject", f"email:{CANARY}"),
        *("--scope", "meeting:m1", *more),
    )


def written(folder: Path, **options: Any) -> list[VerifiedRecord]:
    keys = open_registry(folder).registry.keys
    return list(verify_records(read_lines(folder.parent / "records.jsonl"), keys, **options).records)


def test_grant_withdraw_and_refuse_append_signed_records(folder: Path) -> None:
    for command in ("grant", "withdraw", "refuse"):
        result = write(folder, command, "--purpose", "ai_training", "--kind", "audio")
        assert (result.exit_code, CANARY in result.output) == (0, False)
    found = written(folder)
    assert [(each.fault, each.row["status"]) for each in found] == [
        (None, "given"),
        (None, "withdrawn"),
        (None, "refused"),
    ]
    assert len({each.row["id"] for each in found}) == 3


def test_the_options_of_a_grant_are_in_its_record(folder: Path) -> None:
    at, arrival = "2026-03-02T09:58:00Z", "2026-03-02T10:00:00Z"
    flags = ("--retroactive", "--bundled", "--conditional", "--separate", "--no-detriment")
    more = ("--valid-until", "2027-01-01T00:00:00Z", "--retention-policy", "rp1", "--id", "r-7")
    kinds = ("--kind", "audio", "--kind", "voiceprint", "--recipient", "processor", "--grantor", "host")
    times = ("--at", at, "--ingested-at", arrival)
    result = write(folder, "grant", "--purpose", "ai_training", *kinds, *times, *flags, *more)
    assert result.exit_code == 0, result.output
    row = written(folder)[0].row
    assert (row["id"], row["event_time"], row["ingested_at"]) == ("r-7", at, arrival)
    assert (row["kinds"], row["recipients"], row["grantor"]) == (
        ["audio", "voiceprint"],
        ["processor"],
        "host",
    )
    assert all(row[name] for name in ("retroactive", "bundled", "conditional", "separate", "no_detriment"))
    assert (row["valid_until"], row["retention_policy"]) == ("2027-01-01T00:00:00Z", "rp1")


def test_a_record_under_a_test_key_says_so(tmp_path: Path) -> None:
    assert run("init", tmp_path / "registry").exit_code == 0
    (key,) = (tmp_path / "registry" / "test-keys").iterdir()
    result = write(
        tmp_path / "registry", "grant", "--purpose", "ai_training", "--kind", "audio", kid=key.stem
    )
    assert (result.exit_code, "test key" in result.stderr) == (0, True)
    assert [each.fault for each in written(tmp_path / "registry")] == ["TEST_KEY"]
    assert [each.fault for each in written(tmp_path / "registry", allow_test_keys=True)] == [None]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--purpose", "nothing"), "CONSENT_UNREGISTERED"),
        (("--purpose", "ai_training", "--kind", "smell"), "CONSENT_FORM"),
        (("--purpose", "ai_training", "--at", "yesterday"), "CONSENT_FORM"),
        (("--purpose", "ai_training", "--terms", "t-9"), "CONSENT_UNREGISTERED"),
        (("--purpose", "ai_training", "--subject", CANARY), "CONSENT_FORM"),
        (("--purpose", "*"), "CONSENT_UNREGISTERED"),
    ],
)
def test_a_grant_that_does_not_fit_writes_nothing(folder: Path, more: tuple[str, ...], code: str) -> None:
    result = write(folder, "grant", *more)
    assert (result.exit_code, code in result.stderr, CANARY in result.output) == (2, True, False)
    assert not (folder.parent / "records.jsonl").exists()


def test_lint_is_silent_about_a_registry_in_order(folder: Path) -> None:
    result = run("lint", "--registry", folder)
    signed, last = result.stdout.splitlines()
    assert (result.exit_code, last) == (0, "0 wrong, 0 notes")
    assert signed.startswith("signed for by k1, thumbprint ")


def test_lint_names_file_line_and_code(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.kty", "oct")
    result = run("lint", "--registry", folder)
    assert result.exit_code == 2
    assert "jwks.json:4: REGISTRY_MALFORMED: keys.0.kty: " in result.stdout


def test_lint_prints_json(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.test", True)
    result = run("lint", "--registry", folder, "--json")
    problems = json.loads(result.stdout)["problems"]
    assert {problem["code"] for problem in problems} == {"REGISTRY_TEST_KEY", "REGISTRY_SIGNED_FOR_TESTS"}
    assert (result.exit_code, [problem["is_advice"] for problem in problems]) == (0, [True, True])


def test_lint_of_records_names_their_lines_and_no_person(folder: Path) -> None:
    write(folder, "grant", "--purpose", "ai_training", "--kind", "audio")
    records = folder.parent / "records.jsonl"
    assert run("lint", "--registry", folder, "--consents", records).exit_code == 0
    with records.open("a") as file:
        file.write(json.dumps({"record_id": CANARY}) + "\n")
    result = run("lint", "--registry", folder, "--consents", records)
    assert result.exit_code == 2
    assert "records.jsonl:2: UNSIGNED" in result.stdout
    assert CANARY not in result.output


def test_lint_of_what_cannot_be_read_is_a_fault_of_the_infrastructure(folder: Path, tmp_path: Path) -> None:
    assert run("lint", "--registry", tmp_path / "nothing").exit_code == 3
    assert run("lint", "--registry", folder, "--consents", tmp_path / "nothing").exit_code == 3


def test_pin_shows_what_changed_and_writes_it(folder: Path) -> None:
    change_json(folder, "purposes.json", "title", "Ours", pin=False)
    assert run("lint", "--registry", folder).exit_code == 2
    key = ("--signing-key", folder / "test-keys" / "k1.json")
    shown = run("pin", "--registry", folder, *key)
    assert (shown.exit_code, "changed  purposes" in shown.stdout) == (0, True)
    assert "signed with k1" in shown.stdout
    assert run("lint", "--registry", folder).exit_code == 0
    assert "nothing to write" in run("pin", "--registry", folder, *key).stdout


def test_pin_signs_what_nobody_has_signed(folder: Path) -> None:
    (folder / "registry.jws").unlink()
    assert "REGISTRY_UNSIGNED" in run("lint", "--registry", folder).stdout
    shown = run("pin", "--registry", folder, "--signing-key", folder / "test-keys" / "k1.json")
    assert (shown.exit_code, "signed with k1" in shown.stdout) == (0, True)
    assert run("lint", "--registry", folder).exit_code == 0


def test_pin_needs_a_key_that_may_attest(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.may_attest", False)
    result = run("pin", "--registry", folder, "--signing-key", folder / "test-keys" / "k1.json")
    assert (result.exit_code, "SIGNING_KEY_MAY_NOT_ATTEST" in result.stderr) == (2, True)


def test_pin_without_a_key_writes_nothing_where_there_is_no_test_key(folder: Path) -> None:
    shutil.rmtree(folder / "test-keys")
    change_json(folder, "purposes.json", "title", "Ours", pin=False)
    result = run("pin", "--registry", folder)
    assert (result.exit_code, "SIGNING_KEY_NEEDED" in result.stderr) == (2, True)
    assert "changed  purposes" in result.stdout
    assert "REGISTRY_PIN_MISMATCH" in run("lint", "--registry", folder).stdout


def test_init_leaves_a_folder_in_use_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    result = run("init", tmp_path)
    assert (result.exit_code, "REGISTRY_EXISTS" in result.stderr) == (2, True)


# --- the registry with its policies -----------------------------------------------------------------------


def test_a_gap_in_the_lawful_bases_is_refused_with_file_and_line(folder: Path) -> None:
    change_json(folder, "purposes.json", "purposes.ai_training.basis.us-default", ...)
    with pytest.raises(ConfigurationError) as caught:
        open_registry(folder)
    lines = (folder / "purposes.json").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"ai_training": {' in text)
    assert caught.value.code == "POLICY_BASIS_MISSING"
    assert caught.value.message.startswith(f"purposes.json:{line}: purposes.ai_training: ")


def test_an_article_that_is_missing_is_a_gap(folder: Path) -> None:
    change_json(folder, "purposes.json", "articles.in.consent", ...)
    assert [each.code for each in lint_registry(folder)[1]] == ["POLICY_BASIS_MISSING"]


def test_a_purpose_without_a_rule_is_refused(folder: Path) -> None:
    entry = json.loads((folder / "purposes.json").read_text())["purposes"]["ai_training"]
    change_json(folder, "purposes.json", "purposes.horoscopes", entry)
    assert [each.code for each in lint_registry(folder)[1]] == ["POLICY_PURPOSE_UNKNOWN"]


def test_own_policies_replace_the_shipped_ones_and_are_checked(folder: Path) -> None:
    shutil.copy(SHIPPED_PROFILES, folder / "policies.json")
    (folder / "registry.json").unlink()
    repin(folder)
    assert open_registry(folder).policies.policy_hash
    change_json(folder, "policies.json", "profiles.eu.purposes.ai_training", "necessary")
    assert [each.code for each in lint_registry(folder)[1]] == ["POLICY_BELOW_FLOOR"]
    change_json(folder, "policies.json", "profiles.eu.special", "none")
    (problem,) = lint_registry(folder)[1]
    assert (problem.code, problem.file, problem.field) == (
        "POLICY_INVALID",
        "policies.json",
        "profiles.eu.special",
    )
    assert problem.line > 1


def test_people_in_a_region_without_a_profile_are_a_note(folder: Path) -> None:
    line = {"person": "p1", "identifiers": [{"type": "email", "value": CANARY}], "region": "atlantis"}
    (folder / "subjects.jsonl").write_text(json.dumps(line) + "\n")
    repin(folder)
    result = run("lint", "--registry", folder)
    assert (result.exit_code, "REGION_WITHOUT_PROFILE" in result.stdout) == (0, True)


def test_types_of_identifiers_that_no_contract_uses_are_notes(folder: Path) -> None:
    people = [{"type": kind, "value": CANARY} for kind in ("email", "zoom.userid", "zoom.join_id")]
    (folder / "subjects.jsonl").write_text(json.dumps({"person": "p1", "identifiers": people}) + "\n")
    repin(folder)
    records = folder.parent / "records.jsonl"
    for subject in (f"email:{CANARY}", f"zoom.user:{CANARY}", f"zoom.user:{CANARY}"):
        write(folder, "grant", "--purpose", "ai_training", "--kind", "audio", "--subject", subject)
    result = run("lint", "--registry", folder, "--consents", records)
    assert (result.exit_code, CANARY in result.output) == (0, False), result.output
    notes = [line for line in result.stdout.splitlines() if "IDENTIFIER_TYPE_UNUSED" in line]
    assert [line.split(": ")[0] for line in notes] == ["subjects.jsonl", "subjects.jsonl", f"{records}:2"]
    assert "zoom.join_id" in notes[0]
    assert "zoom.userid" in notes[1]
    assert "2 records" in notes[2]


# --- import -----------------------------------------------------------------------------------------------

MAPPING = """
source_system: old-cmp
format: csv
fields:
  subject: {from: mail, type: email}
  status: {from: state, values: {"IN": given, "OUT": withdrawn}}
  purposes: {value: [ai_training]}
  kinds: {value: [audio]}
  scope: {value: global}
  mechanism: {value: explicit_statement}
  terms: {value: example-2026-01}
  controller: {value: example-controller}
  event_time: {from: at}
"""


def import_file(folder: Path, content: str) -> Result:
    (folder.parent / "mapping.yaml").write_text(MAPPING)
    (folder.parent / "export.csv").write_text(content)
    return run(
        *("import", folder.parent / "export.csv", "--mapping", folder.parent / "mapping.yaml"),
        *("--registry", folder, "--signing-key", folder / "test-keys" / "k1.json"),
        *("--output", folder.parent / "records.jsonl"),
    )


def test_import_appends_attested_records(folder: Path) -> None:
    result = import_file(folder, f"mail,state,at\n{CANARY},IN,2026-01-05T00:00:00Z\n")
    assert (result.exit_code, CANARY in result.output) == (0, False)
    assert [(each.fault, each.row["import_attested"]) for each in written(folder)] == [(None, True)]


def test_import_of_a_word_that_is_unknown_writes_nothing(folder: Path) -> None:
    lines = f"mail,state,at\n{CANARY},IN,2026-01-05T00:00:00Z\n{CANARY},MAYBE,2026-01-05T00:00:00Z\n"
    result = import_file(folder, lines)
    assert (result.exit_code, "line 3: status" in result.stderr) == (2, True)
    assert not {CANARY, "MAYBE"} & set(result.output.replace(":", " ").split())
    assert not (folder.parent / "records.jsonl").exists()


def test_a_key_that_may_not_import_is_refused(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.may_import", False)
    result = import_file(folder, "mail,state,at\n")
    assert (result.exit_code, "SIGNING_KEY_MAY_NOT_IMPORT" in result.stderr) == (2, True)


@pytest.mark.parametrize("command", ["init", "lint", "pin", "grant", "withdraw", "refuse", "import"])
def test_help_says_what_a_command_does_and_how_it_exits(command: str) -> None:
    result = run(command, "--help")
    assert (result.exit_code, "Exit codes" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--scope", "room:1", "meeting:ID, tenant:ID or global"),
        ("--kind", "telepathy", "audio"),
        ("--at", "yesterday", "RFC 3339"),
        ("--ingested-at", "2026-13-01", "RFC 3339"),
    ],
)
def test_a_value_of_another_form_is_answered_with_what_is_known(
    folder: Path, option: str, value: str, hint: str
) -> None:
    result = write(folder, "grant", "--purpose", "ai_training", "--kind", "audio", option, value)
    assert (result.exit_code, hint in result.stderr) == (2, True), result.stderr
    assert value not in result.stderr


def test_a_revoked_key_is_told_of(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.revoked_from", "2026-05-01T00:00:00Z")
    document = json.loads((folder / "jwks.json").read_text())
    other = OKPKey.generate_key("Ed25519")
    entry = public_entry(other, "k2", valid_from="2026-01-01T00:00:00Z")
    write_keys(folder / "jwks.json", [*document["keys"], entry])
    write_pins(folder, compare_pins(folder)[1], PrivateKey("k2", other))
    result = write(folder, "grant", "--purpose", "ai_training", "--kind", "audio")
    assert (result.exit_code, "revoked" in result.stderr) == (0, True)


def test_it_says_what_a_record_will_not_reach(folder: Path) -> None:
    result = write(folder, "grant", "--purpose", "ai_training")
    assert (result.exit_code, CANARY in result.output) == (0, False)
    assert "links this identifier to nobody" in result.stderr
    assert "names no kind of content" in result.stderr


@pytest.mark.parametrize("command", ["withdraw", "refuse"])
def test_a_no_says_that_it_is_about_all_kinds(command: str, folder: Path) -> None:
    named = write(folder, command, "--purpose", "ai_training", "--kind", "audio")
    assert (named.exit_code, "a no is about all kinds" in named.stderr) == (0, True)
    plain = write(folder, command, "--purpose", "ai_training")
    assert (plain.exit_code, "kind" in plain.stderr) == (0, False)


def test_it_says_nothing_of_a_registered_person_and_a_named_kind(folder: Path) -> None:
    line = json.dumps({"person": "p", "identifiers": [{"type": "email", "value": CANARY}]})
    (folder / "subjects.jsonl").write_text(line + "\n")
    repin(folder)
    result = write(folder, "grant", "--purpose", "ai_training", "--kind", "audio")
    assert (result.exit_code, result.stderr) == (0, "")
    both = json.dumps({"person": "q", "identifiers": [{"type": "email", "value": CANARY}]})
    (folder / "subjects.jsonl").write_text(f"{line}\n{both}\n")
    repin(folder)
    assert "to several people" in write(folder, "refuse", "--purpose", "ai_training").stderr
