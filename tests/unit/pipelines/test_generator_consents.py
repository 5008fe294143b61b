"""Generated registries and consent records: whole, signed with test keys, and as their stories tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.consent_registry import lint_registry, open_registry
from pipelines.generator import CONSENTS_FILE, REGISTRY_FOLDER, Settings, cast_of, generate
from pipelines.generator_clock import AS_OF
from pipelines.generator_consents import SigningKeys, drafts_of
from pipelines.generator_people import TENANTS
from pipelines.generator_registry import is_authorised, storage_region
from pipelines.generator_stories import AGREES, PURPOSE, STORIES
from schemas.consent_files import read_lines
from schemas.consent_signing import VerifiedBatch, verify_records
from schemas.registry import Registry, load_registry

SETTINGS = Settings(8_000, seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("generated") / "out"
    generate(SETTINGS, made)
    return made


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return load_registry(folder / REGISTRY_FOLDER)


def verified(folder: Path, registry: Registry, *, allow_test_keys: bool = True) -> VerifiedBatch:
    lines = read_lines(folder / CONSENTS_FILE)
    return verify_records(lines, registry.keys, allow_test_keys=allow_test_keys)


def test_the_registry_has_nothing_wrong_with_it(folder: Path) -> None:
    _, problems = lint_registry(folder / REGISTRY_FOLDER)
    assert {problem.code for problem in problems} == {
        "REGISTRY_TEST_KEY",
        "REGISTRY_SIGNED_FOR_TESTS",
        "REGION_WITHOUT_PROFILE",
    }
    assert PURPOSE in open_registry(folder / REGISTRY_FOLDER).policies.base_purposes


def test_everybody_is_registered_under_all_identifiers(registry: Registry) -> None:
    for person in cast_of(SETTINGS).people:
        name = registry.person_of("email", person.email)
        assert isinstance(name, str)
        for _, identifier, _ in person.accounts:
            assert registry.person_of(*identifier) == name
        attributes = registry.subjects.attributes_of(name)
        assert (attributes.region, attributes.age) == (person.home.region, person.age)
        assert attributes.relation == person.relation


def test_tenants_say_what_is_expected_of_them(registry: Registry) -> None:
    accounts = {account for person in cast_of(SETTINGS).people for _, _, account in person.accounts}
    assert set(registry.tenants) == accounts
    assert len(accounts) == 2 * len(TENANTS)
    for account in accounts:
        assert registry.tenant_ok(account, PURPOSE, AS_OF) is is_authorised(account)
        assert registry.tenants[account].declared.storage_region == storage_region(account)
    assert any(tenant.meetings for tenant in registry.tenants.values())


def test_no_record_counts_unless_test_keys_are_allowed(folder: Path, registry: Registry) -> None:
    assert all(key.is_test for key in registry.keys.values())
    batch = verified(folder, registry, allow_test_keys=False)
    assert batch.untrusted == len(batch.records) > 0


def test_records_have_the_published_form_and_only_the_spoilt_ones_are_doubted(
    folder: Path, registry: Registry
) -> None:
    batch = verified(folder, registry)
    assert {record.fault for record in batch.records} == {None, "KEY_UNKNOWN", "SIGNATURE_WRONG"}
    assert all(record.subject is not None and record.row["id"] for record in batch.records)
    statuses = {record.row["status"] for record in batch.records}
    assert statuses == {"given", "renewed", "requested", "refused", "withdrawn", "invalidated"}
    assert any(record.row["scope"].startswith("meeting:mtg_") for record in batch.records)


def test_keys_follow_from_the_seed() -> None:
    assert SigningKeys(3).kids == SigningKeys(3).kids
    assert set(SigningKeys(3).kids.values()).isdisjoint(SigningKeys(4).kids.values())
    assert all(kid.startswith("test-") for kid in SigningKeys(3).kids.values())


def test_every_story_is_somebodys() -> None:
    told = {person.story for person in cast_of(SETTINGS).people}
    assert told == set(STORIES)


def test_whoever_agrees_has_grants_on_both_platforms_and_only_the_silent_have_no_record() -> None:
    for person in cast_of(SETTINGS).people:
        drafts = list(drafts_of(person))
        given = [draft for draft in drafts if draft.fields["purposes"] == [PURPOSE]]
        scopes = {draft.fields["scope"] for draft in given}
        if person.story == AGREES:
            assert scopes == {f"tenant:{account}" for _, _, account in person.accounts}
        assert (not drafts) is (person.story == "silent")
