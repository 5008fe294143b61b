from __future__ import annotations

import dataclasses
from datetime import date

import pyarrow as pa
import pytest

from schemas.errors import ConfigurationError
from schemas.registry import Registry
from schemas.registry_subjects import read_subjects
from transforms.erase_reach import Identifier, Scope, Spaces, identifiers_of, is_in, read_subject
from transforms.keys import ReleaseKeys, create_key_directory, load_release_keys
from transforms.pseudonyms import join_pseudonyms, telemetry_pseudonyms


def registry(*lines: str) -> Registry:
    subjects, _ = read_subjects("subjects.jsonl", "\n".join(lines).encode())
    return Registry("", subjects=subjects)


LINKED = (
    '{"person": "p1", "identifiers": '
    '[{"type": "email", "value": "a@x.org"}, {"type": "zoom.user_id", "value": "u1"}]}'
)
DOUBTED = '{"person": "p2", "identifiers": [{"type": "zoom.user_id", "value": "u1"}]}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKeys:
    """Keys of a store in its second epoch."""
    folder = tmp_path_factory.mktemp("keys")
    create_key_directory(folder / "old", created=date(2026, 1, 1))
    create_key_directory(folder / "new", created=date(2026, 2, 1), continues=folder / "old")
    return load_release_keys(folder / "new" / "release")


@pytest.mark.parametrize("text", ["", "ada", ":ada", "email:", "email:  ", "email:ada\udcff"])
def test_a_subject_needs_type_and_id_and_is_not_repeated_in_the_error(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_subject(text)
    assert caught.value.code == "SUBJECT_INVALID"
    assert "ada" not in str(caught.value)


def test_an_id_may_hold_colons_and_is_never_shown() -> None:
    found = read_subject("phone:tel:+1555")
    assert found == Identifier("phone", "tel:+1555")
    assert "1555" not in repr(found)


def test_all_identifiers_of_a_person_are_meant() -> None:
    found = identifiers_of(registry(LINKED), Identifier("email", " A@X.org"))
    assert {each.type for each in found} == {"email", "zoom.user_id"}
    unknown = Identifier("zoom.user_id", "nobody")
    assert identifiers_of(registry(LINKED), unknown) == [unknown]


def test_an_identifier_that_others_claim_is_not_the_persons() -> None:
    found = identifiers_of(registry(LINKED, DOUBTED), Identifier("email", "a@x.org"))
    assert {each.type for each in found} == {"email"}
    with pytest.raises(ConfigurationError) as caught:
        identifiers_of(registry(LINKED, DOUBTED), Identifier("zoom.user_id", "u1"))
    assert caught.value.code == "SUBJECT_AMBIGUOUS"


def test_telemetry_is_searched_under_every_epoch_and_tenant(keys: ReleaseKeys) -> None:
    assert len(keys.epoch_roots) == 2
    ada = Identifier("zoom.user_id", "u1")
    spaces = Spaces(keys, ["t1", "t2"])
    wanted = {
        telemetry_pseudonyms(keys, epoch_id=epoch).pseudonym(
            "u1", identifier_type="zoom.user_id", tenant=tenant
        )
        for epoch in keys.epoch_roots
        for tenant in (None, "t1", "t2")
    }
    assert spaces.telemetry([ada]) == wanted
    assert len(wanted) == 6
    join = join_pseudonyms(keys).pseudonym("u1", identifier_type="zoom.user_id")
    assert spaces.join([ada]) == {join}
    assert len(spaces.telemetry([Identifier("tenant", "t1")])) == 2


def test_keys_without_epochs_are_refused(keys: ReleaseKeys) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Spaces(dataclasses.replace(keys, epoch_roots={}), [])
    assert caught.value.code == "KEYS_WITHOUT_EPOCHS"


def test_a_scope_means_tenants_but_for_spared_meetings() -> None:
    tenant, meeting = pa.chunked_array([["t", "t", None]]), pa.chunked_array([["m1", "m2", "m1"]])
    assert Scope(frozenset({"t"}), spared=frozenset({"m2"})).mask(tenant, meeting).tolist() == [
        True,
        False,
        False,
    ]
    assert Scope(meetings=frozenset({"m1"})).mask(tenant, meeting).tolist() == [True, False, True]
    assert not Scope()


def test_membership_knows_no_null_and_every_type() -> None:
    assert is_in(pa.array(["a", None, "b"]), {"a"}).tolist() == [True, False, False]
    assert is_in(pa.array([b"k" * 16, None], pa.binary(16)), {b"k" * 16}).tolist() == [True, False]
    assert is_in(pa.chunked_array([], pa.string()), {"a"}).tolist() == []
    assert is_in(pa.array(["a"]), set()).tolist() == [False]
