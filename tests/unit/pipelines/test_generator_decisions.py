"""The decisions that generated content is expected to come to."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from pipelines.generator import DECISIONS_FILE, EXPECTED_FILE, EventStream, Settings, generate
from pipelines.generator_decisions import _RANKED, Decisions, flaws_of, law_of, settle
from pipelines.generator_expected import NEVER_DECIDED
from pipelines.generator_meetings import AGREED, DECLARED, GUEST, OBJECTION, ONE_OUT, UNENDED, Meeting
from pipelines.generator_people import Person, make_cast
from validation.policy_loading import SHIPPED_PROFILES
from validation.reasons import CATALOGUE

EU, US, JAPAN = law_of(["eu"]), law_of(["us-default"]), law_of(["jp"])


def people_of(story: str) -> list[Person]:
    return [person for person in make_cast(1, 2_000).people if person.story == story]


def test_ranks_and_actions_are_those_of_the_catalogue() -> None:
    for place, (action, codes) in enumerate(_RANKED):
        assert {CATALOGUE[code].action for code in codes} == {action}
        assert len({CATALOGUE[code].rank for code in codes}) == 1
        later = [CATALOGUE[code].rank for _, more in _RANKED[place + 1 :] for code in more]
        assert all(CATALOGUE[codes[0]].rank <= rank for rank in later)


def test_laws_are_those_of_the_profiles() -> None:
    profiles = json.loads(SHIPPED_PROFILES.read_bytes())["profiles"]

    def field(region: str, name: str) -> object:
        while name not in profiles[region]:
            region = profiles[region]["extends"]
        return profiles[region][name]

    for region in ("us-default", "us-ca", "us-il", "eu", "eu-de", "uk", "br", "in", "ca-qc", "strictest"):
        law = law_of([region])
        assert law.asks_more is (field(region, "minor_ai_training") == "block")
        assert law.asks_more is (field(region, "employee") == "attest")
        assert law.asks_more is (field(region, "max_age_days") == 365)
        assert law.asks_before_capture is field(region, "capture_prior_all")
        assert law.has_sectors is (field(region, "sector") != [])
        assert law.asks_release is (field(region, "biometric") == "written_release")


def test_regions_add_up_and_an_unknown_one_asks_everything() -> None:
    assert law_of(["us-default", "eu"]).asks_more
    assert law_of(["us-default", "eu"]).has_sectors
    assert law_of(["eu", None]) == JAPAN == law_of(["us-il", "eu-de", "jp"])


def test_the_leading_reason_is_that_of_lowest_rank_and_the_gravest_decides() -> None:
    assert settle(set()) == ("RELEASE", "OK")
    assert settle({"NO_CONSENT", "NOT_ALL_PARTICIPANTS"}) == ("QUARANTINE", "NOT_ALL_PARTICIPANTS")
    assert settle({"WITHDRAWN", "CLASS_UNKNOWN"}) == ("ERASE", "WITHDRAWN")
    assert settle({"WITHDRAWN", "LEGAL_HOLD"}) == ("QUARANTINE", "LEGAL_HOLD")
    assert settle({"LEGAL_HOLD", "SCHEMA_INVALID"}) == ("REJECT", "SCHEMA_INVALID")


@pytest.mark.parametrize(
    ("story", "code"), [("minor", "MINOR"), ("employee", "POWER_IMBALANCE"), ("stale", "STALE")]
)
def test_some_grants_suffice_in_america_alone(story: str, code: str) -> None:
    for person in people_of(story):
        assert flaws_of(person, "audio", EU, True, is_special=False) == {code}
        assert flaws_of(person, "audio", US, True, is_special=False) == set()


def test_grants_cover_what_they_name_and_what_is_made_of_it() -> None:
    (pictures, *_) = people_of("picture_only")
    assert flaws_of(pictures, "video", EU, True, is_special=False) == set()
    assert flaws_of(pictures, "transcript", EU, True, is_special=False) == {"KIND_MISMATCH"}
    for person in people_of("agrees"):
        assert flaws_of(person, "caption", EU, True, is_special=False) == set()
        voice = flaws_of(person, "voiceprint", JAPAN, True, is_special=False)
        assert (voice == set()) is (person.number % 8 == 0)


def test_late_grants_cover_what_is_recorded_later() -> None:
    for person in people_of("afterwards"):
        assert flaws_of(person, "audio", US, True, is_special=False) == {"RETROACTIVE_NOT_COVERED"}
        assert flaws_of(person, "audio", US, False, is_special=False) == set()


def by_sort(settings: Settings) -> dict[str, Counter[str]]:
    """Leading reasons by sort of meeting."""
    found: dict[str, Counter[str]] = defaultdict(Counter)

    def note(meeting: Meeting) -> None:
        decisions = Decisions()
        decisions.add_meeting(meeting)
        found[meeting.plan.sort].update(decisions.as_dict()["primary"])

    for _ in EventStream(settings, None, note).batches():
        pass
    return found


def test_meetings_come_to_what_their_sort_says() -> None:
    of_sort = by_sort(Settings(30_000, seed=6))
    assert of_sort[AGREED]["OK"] > 100
    assert of_sort[UNENDED]["OK"] == 0 < of_sort[UNENDED]["ROSTER_INCOMPLETE"]
    assert of_sort[OBJECTION]["WITHDRAWN"] > 0
    assert of_sort[GUEST]["PARTICIPANT_UNIDENTIFIED"] > 0
    assert {"LEGAL_HOLD", "E2EE_CLAIM_VIOLATION"} <= set(of_sort[DECLARED])
    assert of_sort[ONE_OUT]["PARTICIPANT_UNIDENTIFIED"] == 0 < of_sort[ONE_OUT].total()


def test_what_is_made_of_a_recording_that_not_all_agreed_to_is_rejected_like_it() -> None:
    rejected: dict[str, set[str]] = defaultdict(set)

    def note(meeting: Meeting) -> None:
        decisions = Decisions()
        decisions.add_meeting(meeting)
        if "capture" in meeting.plan.declared:
            assert meeting.plan.is_transcribed
            for row in decisions.as_dict()["classes"]:
                rejected[row["primary"]].add(row["kind"])

    for _ in EventStream(Settings(60_000, seed=6), None, note).batches():
        pass
    assert rejected["CAPTURE_NOT_CONSENTED"] >= {"audio", "transcript", "summary"}
    assert rejected["CAPTURE_NOT_CONSENTED"].isdisjoint({"chat", "meeting_title", "file", "unclassified"})


@pytest.mark.parametrize("seed", [1, 2, 20260105])
def test_some_is_released_most_is_held_for_many_reasons(seed: int, tmp_path: Path) -> None:
    generate(Settings(20_000, seed), tmp_path / "out")
    expected = json.loads((tmp_path / "out" / DECISIONS_FILE).read_bytes())
    assert 0.05 < expected["decisions"]["RELEASE"] / expected["items"] < 0.15
    assert expected["decisions"]["QUARANTINE"] > expected["items"] / 2
    assert len(expected["primary"]) >= 25
    assert sum(row["items"] for row in expected["classes"]) == expected["items"]


@pytest.mark.parametrize("shape", ["zoom", "cloudevents", "mixed"])
@pytest.mark.parametrize("events", [1, 60, 500, 4_000])
def test_every_item_has_one_decision(events: int, shape: str, tmp_path: Path) -> None:
    generate(Settings(events, seed=5, shape=shape), tmp_path / "out")
    outcomes = json.loads((tmp_path / "out" / EXPECTED_FILE).read_bytes())
    decisions = json.loads((tmp_path / "out" / DECISIONS_FILE).read_bytes())
    kept = {kind: number for kind, number in outcomes["items"].items() if kind not in NEVER_DECIDED}
    assert decisions["kinds"] == kept
    assert sum(decisions["decisions"].values()) == sum(decisions["primary"].values()) == sum(kept.values())
