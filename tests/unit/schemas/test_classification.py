"""The closed vocabulary: what each word permits, and that every unknown word is content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.classification import (
    CLASSIFICATIONS,
    CONTENT_KINDS,
    KIND_NUMBER,
    SEALED_KINDS,
    Lane,
    Protection,
    allowed_protections,
    default_protection,
    lane_of,
    sealed_kind,
)

IN_CLEAR = {Protection.KEEP, Protection.TRUNCATE_IP}


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_only_service_metadata_and_envelope_may_stay_in_clear(name: str) -> None:
    light = name.startswith("service.") or name in ("metadata", "envelope")
    assert (Protection.KEEP in allowed_protections(name)) is light
    assert (Protection.TRUNCATE_IP in allowed_protections(name)) is (name == "identifier.direct")
    assert (Protection.PSEUDONYM in allowed_protections(name)) is name.startswith("identifier.")
    assert {Protection.SEAL, Protection.DROP} <= set(allowed_protections(name))


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_the_lane_follows_from_the_classification(name: str) -> None:
    expected = Lane.CONTENT
    if name.startswith("service."):
        expected = Lane.SERVICE
    elif name in ("metadata", "envelope") or (name.startswith("identifier.") and name != "identifier.direct"):
        expected = Lane.METADATA
    assert lane_of(name) is expected


@given(
    name=st.text()
    | st.sampled_from(["Service.telemetry", "service", "service.other", "metadata ", "content."])
)
def test_an_unknown_word_is_content_and_is_never_kept(name: str) -> None:
    if name not in CLASSIFICATIONS:
        assert lane_of(name) is Lane.CONTENT
        assert not IN_CLEAR & set(allowed_protections(name))
        assert default_protection(name) is Protection.SEAL


def test_the_default_is_the_strictest_that_keeps_the_use() -> None:
    defaults = {name: default_protection(name) for name in CLASSIFICATIONS}
    assert defaults["secret"] is None
    assert {defaults[name] for name in CLASSIFICATIONS if name.startswith("content.")} == {Protection.SEAL}
    assert defaults["identifier.direct"] is Protection.SEAL
    assert defaults["identifier.pseudonymous"] is defaults["identifier.tenant"] is Protection.PSEUDONYM
    assert defaults["service.usage"] is defaults["metadata"] is defaults["envelope"] is Protection.KEEP


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"content.{kind}", kind) for kind in CONTENT_KINDS),
        *(("content.unclassified", "unclassified"), ("secret", "secret"), ("identifier.direct", "identity")),
        *(("identifier.tenant", "identity"), ("service.usage", "unclassified"), ("metadata", "unclassified")),
    ],
)
def test_the_kind_of_a_sealed_value(name: str, kind: str) -> None:
    assert sealed_kind(name) == kind
    assert kind in SEALED_KINDS


def test_numbers_of_kinds_are_written_down_for_ever() -> None:
    # Item ids in stores end in these numbers: a kind may be added behind the last one, and none may move.
    assert [KIND_NUMBER[kind] for kind in SEALED_KINDS] == list(range(len(SEALED_KINDS)))
    first = (
        "audio video screen_share chat file whiteboard poll reaction transcript caption summary translation"
    )
    then = "meeting_title voicemail embedding voiceprint face_template sentiment keyframe spectrogram"
    last = "keyword_counts identity secret unclassified rejected unknown"
    assert [*first.split(), *then.split(), *last.split()] == list(SEALED_KINDS[:26])
