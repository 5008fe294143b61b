from __future__ import annotations

from schemas import classification
from schemas.consent_sets import (
    ALL_KINDS,
    CONTENT_LIKE,
    METADATA_KINDS,
    ROOTS_BY_KIND,
    SERVICE_KINDS,
    STATUSES,
    TEMPLATE_KINDS,
)


def test_content_has_the_same_kinds_for_contracts_and_for_decisions() -> None:
    assert set(classification.CONTENT_KINDS) == CONTENT_LIKE


def test_no_kind_is_in_two_sets() -> None:
    assert len(ALL_KINDS) == len(CONTENT_LIKE) + len(METADATA_KINDS) + len(SERVICE_KINDS)


def test_roots_and_templates_are_kinds() -> None:
    assert {*ROOTS_BY_KIND, *ROOTS_BY_KIND.values(), *TEMPLATE_KINDS} <= CONTENT_LIKE


def test_statuses_have_one_sign_each() -> None:
    assert len(set(STATUSES)) == len(STATUSES) == 8
