from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from schemas.consent_signing import sign_record, verify_records
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.registry import load_registry
from schemas.registry_writing import compare_pins, read_private_key, write_pins, write_starter
from tests.unit.schemas.consent_samples import RECORD, change_json

START = "2026-01-01T00:00:00Z"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return write_starter(tmp_path / "registry", valid_from=START)


def test_the_starter_loads_and_its_key_is_a_test_key(private: Path) -> None:
    registry = load_registry(private.parents[1])
    assert [key.is_test for key in registry.keys.values()] == [True]


def test_only_the_owner_can_read_the_private_key(private: Path) -> None:
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700


def test_no_file_but_the_private_one_holds_the_private_half(private: Path) -> None:
    secret = json.loads(private.read_text())["d"]
    others = [each for each in private.parents[1].rglob("*") if each.is_file() and each != private]
    assert others
    assert not [each for each in others if secret in each.read_text()]


def test_the_private_key_signs_what_the_registry_verifies(private: Path) -> None:
    signer = read_private_key(private)
    keys = load_registry(private.parents[1]).keys
    found = verify_records([sign_record(RECORD, signer.key, signer.kid)], keys, allow_test_keys=True)
    assert found.records[0].fault is None
    assert json.loads(private.read_text())["d"] not in repr(signer)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ConfigurationError, match="REGISTRY_EXISTS"):
        write_starter(tmp_path, valid_from=START)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_pins_tell_what_changed_and_take_it_over(private: Path) -> None:
    folder = private.parents[1]
    change_json(folder, "purposes.json", "title", "Ours", pin=False)
    changes, content = compare_pins(folder)
    assert {each.part: each.change for each in changes} == {
        "keys": "same",
        "terms": "same",
        "purposes": "changed",
        "tenants": "same",
        "subjects": "same",
    }
    write_pins(folder, content)
    assert load_registry(folder).purposes_document["title"] == "Ours"


def test_policies_are_pinned_where_there_are_some(private: Path) -> None:
    folder = private.parents[1]
    (folder / "registry.json").unlink()
    (folder / "policies.json").write_text("{}")
    changes, content = compare_pins(folder)
    assert {each.part for each in changes if each.change == "new"} >= {"policies", "keys"}
    write_pins(folder, content)
    assert load_registry(folder).policies_document == {}


def test_a_key_that_others_can_read_is_refused(private: Path) -> None:
    private.chmod(0o640)
    with pytest.raises(InfrastructureFault, match="SIGNING_KEY_PERMISSIONS"):
        read_private_key(private)


@pytest.mark.parametrize("member", ["d", "x", "kid", "crv"])
def test_a_key_without_all_its_members_is_refused(private: Path, member: str) -> None:
    document = json.loads(private.read_text())
    secret = document["d"]
    del document[member]
    private.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match="SIGNING_KEY_INVALID") as caught:
        read_private_key(private)
    assert secret not in str(caught.value)


def test_halves_of_two_keys_are_refused(private: Path) -> None:
    document = json.loads(private.read_text())
    private.write_text(json.dumps({**document, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
    with pytest.raises(ConfigurationError, match="SIGNING_KEY_INVALID"):
        read_private_key(private)


def test_a_link_to_a_key_is_refused(private: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(private)
    with pytest.raises(InfrastructureFault, match="SIGNING_KEY_MISSING"):
        read_private_key(tmp_path / "link")
