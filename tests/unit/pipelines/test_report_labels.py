from __future__ import annotations

import pytest

from pipelines import report_verify, run_drift
from pipelines.report_labels import (
    AREAS,
    CHECKS,
    DESTROYED,
    GOES,
    LOGGED,
    PIECES,
    begun,
    coded,
    counted,
    duration,
    explained,
    law,
    number,
    plain,
    share,
    size,
    word,
)
from schemas import consent_lint
from transforms import audit_entries, erase_due, erase_reach, report_grounds, report_sealed
from transforms.reprocess_commit import REPROCESS
from validation import decisions, written_tables
from validation.reasons import CATALOGUE
from validation.reject_reasons import REJECT_REASONS
from validation.written_suites import TELEMETRY_AREA
from validation.written_tables import CONSERVATION_AREA, OTHER_AREA

TYPES = ("RUN", "DECISIONS", "RELEASE", "OPENING", "ACCESS", "EXPORT", "ERASURE", "KEY", "POLICY", "MERGE")


def test_every_check_has_its_words() -> None:
    assert set(CHECKS) == set(report_grounds.CHECKS)


def test_every_reason_to_destroy_something_has_its_words() -> None:
    told = {value for name, value in vars(erase_reach).items() if name.isupper() and name == value}
    assert told >= {"TIME_TO_LIVE_OVER", "NO_PURPOSE_LEFT"}
    assert set(DESTROYED) == {*told, erase_due.RETENTION_OVER}


def test_what_goes_is_said_of_reasons_that_lose_an_item() -> None:
    assert {CATALOGUE[code].action for code in GOES} == {decisions.ERASE}


def test_every_kind_of_sealed_piece_has_its_words() -> None:
    assert set(PIECES) == set(report_sealed.PIECES)


def test_code_in_a_sentence_is_shown_as_code_and_all_else_is_escaped() -> None:
    assert coded("Run `cofferdam <b>` & look") == ("Run <code>cofferdam &lt;b&gt;</code> &amp; look")
    assert coded("one ` alone") == "one ` alone"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (61, "1 minute 1 second"),
        (90_000, "1 day 1 hour"),
        (86_401, "1 day 1 second"),
        (None, "-"),
    ],
)
def test_times_are_told_in_their_two_largest_units(seconds: int | None, text: str) -> None:
    assert duration(seconds) == text


def test_figures_are_told_as_people_read_them() -> None:
    assert (number(1234), number(None)) == ("1,234", "-")
    assert (counted(1, "copy", "copies"), counted(2000, "copy", "copies")) == ("1 copy", "2,000 copies")
    assert (share(1, 4), share(None, 4), share(1, 0)) == ("25.0 %", "-", "-")
    assert (size(12), size(1500), size(3 * 10**9)) == ("12 bytes", "1.5 kB", "3.0 GB")


def test_words_lose_their_underscores() -> None:
    assert (plain("ai_training"), begun("first_party")) == ("AI training", "First party")
    assert word("NO_SUCH_DECISION", CHECKS).startswith("there is no")
    assert word("not_known", CHECKS) == "not known"


def test_the_name_of_a_format_keeps_its_spelling() -> None:
    scheme = "cofferdam-sealed@v1+c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM"
    assert word(scheme, {}) == scheme
    assert word("ai_training LEGAL_HOLD", {}) == "AI training LEGAL_HOLD"


@pytest.mark.parametrize("code", sorted({*CATALOGUE, *REJECT_REASONS, *consent_lint._FAULTS}))
def test_every_reason_is_explained_in_a_sentence_with_what_would_help(code: str) -> None:
    sentence, cure = explained(code)
    assert sentence.endswith(".")
    assert cure.endswith((".", "`"))


def test_a_reason_names_its_law() -> None:
    assert law("TERMINAL_ACCESS_NO_CONSENT") == "ePrivacy Directive Art. 5(3)"
    assert law("no such code") == "-"


def test_every_type_of_entry_of_the_log_has_its_words() -> None:
    types = {getattr(audit_entries, name) for name in TYPES}
    assert set(LOGGED) == types | {"canaries", REPROCESS, run_drift.KIND, report_verify.ENTRY}


def test_what_is_no_reason_is_not_explained() -> None:
    assert explained("no such code") == ("-", "-")
    assert explained("OK") == ("Nothing stood against it.", "-")


def test_every_part_of_the_store_has_its_words() -> None:
    assert set(AREAS) == {TELEMETRY_AREA, CONSERVATION_AREA, OTHER_AREA, *written_tables.AREAS.values()}
