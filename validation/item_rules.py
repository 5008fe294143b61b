"""Findings about the item as a whole: its shape, deadlines, lane, transfer, capture, use and people.

The order is that of the rules: a finding that settles the case ends the search, and what comes later stays
unread. Where a profile decides whether a finding matters, the finding is made and the suite judges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.consent_sets import (
    ALL_KINDS,
    ASSIST_PURPOSES,
    CAPTURES,
    CONTENT_LIKE,
    INSIDE_RECIPIENTS,
    LANES,
    METADATA_KINDS,
    RELATIONS,
    ROOTS_BY_KIND,
    SERVICE_KINDS,
    TEMPLATE_KINDS,
    WEAK_MECHANISMS,
)
from validation.cases import Case
from validation.facts import CASE, CONSENT, ILLEGIBLE, NECESSARY, UNKNOWN, relations_word, use_word
from validation.grant_rules import Person, Use
from validation.policy import STRICTEST, Policies, Profile
from validation.reading import (
    Instant,
    Unreadable,
    as_object,
    read_flag,
    read_instant,
    read_optional_instant,
    read_word,
    read_words,
)
from validation.record_rules import Request

SERVICE: Final = "service"
CONTENT: Final = "content"
_NEEDED_WORDS: Final = ("kind", "lane", "purpose", "controller", "tenant", "meeting")


@dataclass(frozen=True, slots=True)
class Asked:
    """A person whose consent the item needs.

    Attributes:
        position: Place in the item's list of subjects.
        subject: Identifier, or None if the person cannot be identified.
        person: What the roster says of the person.
        reads_records: Whether the person's records are read at all.
    """

    position: int
    subject: str | None = field(repr=False)
    person: Person
    reads_records: bool


@dataclass(slots=True)
class ItemFindings:
    """What is known of an item before its people are asked.

    Attributes:
        words: Column to word, for the columns of an item's row that are found so far.
        advisories: What to know about the item.
        profile: The merged profile, or None if the search ended before the regions.
        lane: The lane that the item is treated in, or None if the search ended before.
        asked: People whose consent is to be looked for, in the order of the item's list.
        use: What their grants are tested against, if anybody is asked.
    """

    words: dict[str, str] = field(default_factory=dict)
    advisories: set[str] = field(default_factory=set)
    profile: Profile | None = None
    lane: str | None = None
    asked: tuple[Asked, ...] = ()
    use: Use | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of valid shape, with what every step reads."""

    case: Case = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)
    subjects: Sequence[Mapping[str, Any]] = field(repr=False)
    roots: frozenset[str | None]
    as_of: Instant
    recorded_end: Instant

    def flag(self, name: str, *, otherwise: bool) -> bool:
        return read_flag(self.fields, name, otherwise=otherwise)

    @property
    def kind(self) -> str:
        return str(self.fields["kind"])

    @property
    def purpose(self) -> str:
        return str(self.fields["purpose"])

    @property
    def has_content_root(self) -> bool:
        return any(root is None or root in CONTENT_LIKE for root in self.roots)

    def is_of(self, kinds: Sequence[str]) -> bool:
        """Whether the kind or a root is one of these."""
        return self.kind in kinds or any(root in kinds for root in self.roots)


def find_item(case: Case, policies: Policies) -> ItemFindings:
    """Everything about an item that its people's records do not tell.

    Args:
        case: The question.
        policies: The policies, for purposes, regions and the floor.
    """
    found = ItemFindings()
    item = _read_item(case)
    if item is None:
        found.words["shape"] = "invalid"
        return found
    found.words |= _deadlines(item)
    if item.purpose not in policies.base_purposes:
        found.words["purpose"] = "unregistered"
        return found
    found.words["purpose"] = item.purpose
    found.profile = _profile(item, policies, found)
    found.lane = _lane(item, found)
    if found.lane is not None:
        found.words |= _transfer(item)
        _find_use(item, found.profile, found.lane, policies, found)
    return found


def _read_item(case: Case) -> _Item | None:
    fields = case.item_fields()
    as_of = read_instant(case.as_of)
    if fields is None or as_of is None or any(read_word(fields, name) is None for name in _NEEDED_WORDS):
        return None
    recorded_end = read_instant(fields.get("recorded_end"))
    subjects = fields.get("subjects")
    if recorded_end is None or not isinstance(subjects, list):
        return None
    people = [case.subject_fields(one) for one in subjects]
    return _Item(case, fields, people, _roots(fields), as_of, recorded_end)


def _roots(fields: Mapping[str, Any]) -> frozenset[str | None]:
    """Kinds that the item comes from; None for one that cannot be read."""
    kind, named = str(fields["kind"]), fields.get("roots", [])
    if not isinstance(named, list):
        return frozenset({None})
    if not named:
        return frozenset({ROOTS_BY_KIND.get(kind, kind)})
    return frozenset(root if isinstance(root, str) and root in ALL_KINDS else None for root in named)


def _deadlines(item: _Item) -> dict[str, str]:
    held = item.flag("legal_hold", otherwise=True)
    erasure = item.fields.get("erasure_requested")
    until = read_optional_instant(item.fields, "retention_until")
    words = {"hold": "held" if held else "none", "retention": "running"}
    words["erasure"] = ("requested" if erasure else "none") if isinstance(erasure, bool) else ILLEGIBLE
    if isinstance(until, Unreadable):
        words["retention"] = ILLEGIBLE
    elif until is not None and until <= item.as_of:
        words["retention"] = "over"
    return words


def _profile(item: _Item, policies: Policies, found: ItemFindings) -> Profile:
    named = item.fields.get("regions", [])
    regions = [subject.get("region") for subject in item.subjects]
    regions += named if isinstance(named, list) else [None]
    known = {region for region in regions if isinstance(region, str) and region in policies.profiles}
    if not regions or any(not isinstance(region, str) or region not in known for region in regions):
        known.add(STRICTEST)
        found.advisories.add("JURISDICTION_ASSUMED_STRICTEST")
    return policies.merged(known)


def _lane(item: _Item, found: ItemFindings) -> str | None:
    """The lane that the item is treated in, or None if nobody knows what it is."""
    lane = str(item.fields["lane"])
    if lane not in LANES:
        found.words["lane"] = UNKNOWN
        return None
    found.words["lane"] = lane
    if lane == SERVICE:
        return _service_lane(item, found)
    if item.kind not in ALL_KINDS:
        found.words["kind"] = "unplaced"
        return None
    return CONTENT


def _service_lane(item: _Item, found: ItemFindings) -> str:
    if item.fields.get("unknown_fields") != []:
        found.words["allow_list"] = "left"
    content_like = item.kind in CONTENT_LIKE or item.has_content_root
    if content_like or item.flag("content_hit", otherwise=True):
        found.advisories.add("DERIVED_FROM_CONTENT")
        if item.kind not in ALL_KINDS:
            found.words["kind"] = "unplaced_but_moved"
        return CONTENT
    if item.flag("opaque", otherwise=True) and not item.flag("lineage_ok", otherwise=False):
        found.words["lineage"] = "unproven"
    elif item.kind not in METADATA_KINDS + SERVICE_KINDS:
        found.words["kind"] = "unplaced"
    return SERVICE


def _transfer(item: _Item) -> dict[str, str]:
    if "export_to" not in item.fields:
        return {"transfer": "none"}
    mechanism = item.fields.get("transfer_mechanism")
    named = mechanism is True or (isinstance(mechanism, str) and mechanism != "")
    return {"transfer": "with_mechanism" if named else "without_mechanism"}


def _find_use(item: _Item, profile: Profile, lane: str, policies: Policies, found: ItemFindings) -> None:
    if lane == CONTENT:
        found.words |= _capture(item)
    route = {"necessary": NECESSARY, "authorised_case": CASE}.get(profile.rules[item.purpose], CONSENT)
    found.words["use"] = use_word(item.purpose, route)
    found.words["relations"] = relations_word(frozenset(map(_relation, item.subjects)))
    if route == NECESSARY or (route == CONSENT and lane == SERVICE):
        inside = item.fields.get("recipient") in INSIDE_RECIPIENTS
        found.words["recipient"] = "inside" if inside else "outside"
    if route == CASE:
        found.words["case"] = "authorised" if _is_authorised(item.fields.get("case")) else "unauthorised"
    if route == CONSENT and lane == CONTENT:
        _find_content(item, profile, policies, found)
    elif route == CONSENT:
        _find_service(item, profile, policies, found)


def _capture(item: _Item) -> dict[str, str]:
    broken = item.flag("e2ee", otherwise=True)
    words = {"plaintext": "breaks_end_to_end" if broken else "expected"}
    if item.is_of(("audio", "video")):
        capture = item.fields.get("capture")
        words["capture"] = capture if isinstance(capture, str) and capture in CAPTURES else "none"
    return words


def _relation(subject: Mapping[str, Any]) -> str:
    relation = subject.get("relation")
    return relation if isinstance(relation, str) and relation in RELATIONS else ILLEGIBLE


def _is_authorised(case: object) -> bool:
    given = as_object(case) or {}
    approvers = read_words(given.get("approvers")) - {""}
    return read_word(given, "id") is not None and len(approvers) >= 2


def _tenant(item: _Item) -> dict[str, str]:
    allowed = item.flag("tenant_ok", otherwise=False)
    return {"tenant": "authorised" if allowed else "unauthorised"}


def _find_content(item: _Item, profile: Profile, policies: Policies, found: ItemFindings) -> None:
    found.words |= _tenant(item) | _locks(item)
    people = [_asked(at, one, opted_out_counts=False) for at, one in _in_scope(item, profile)]
    found.words["people"] = "present" if people else "nobody"
    found.asked = tuple(people)
    found.use = _use(item, policies, in_content=True)


def _locks(item: _Item) -> dict[str, str]:
    complete = item.flag("roster_complete", otherwise=False)
    words = {"roster": "complete" if complete else "incomplete"}
    if item.purpose in ASSIST_PURPOSES:
        return words
    if item.flag("phi", otherwise=True) and not item.flag("hipaa_authorization", otherwise=False):
        words["health"] = "unauthorised"
    if item.flag("edu", otherwise=True) and not item.flag("ferpa_consent", otherwise=False):
        words["education"] = "unconsented"
    if item.flag("third_party_mention", otherwise=True) and not item.flag("redacted", otherwise=False):
        words["mentions"] = "unredacted"
    return words


def _in_scope(item: _Item, profile: Profile) -> list[tuple[int, Mapping[str, Any]]]:
    present = [
        (at, one)
        for at, one in enumerate(item.subjects)
        if not _is_bot(one) and not read_flag(one, "view_only", otherwise=False)
    ]
    # Somebody of whom it cannot be told is in scope, but does not put the others out of it.
    if profile.party_scope != "featured" or not any(one.get("featured") is True for _, one in present):
        return present
    return [(at, one) for at, one in present if one.get("featured") is not False]


def _is_bot(subject: Mapping[str, Any]) -> bool:
    return subject.get("channel") == "bot"


def _asked(position: int, subject: Mapping[str, Any], *, opted_out_counts: bool) -> Asked:
    identifier = read_word(subject, "id")
    identified = identifier is not None and read_flag(subject, "identified", otherwise=False)
    opted_out = opted_out_counts and read_flag(subject, "opt_out", otherwise=True)
    person = Person(
        is_host=read_flag(subject, "is_host", otherwise=False),
        is_minor=subject.get("age") != "adult",
        is_employee=_relation(subject) in ("employee", ILLEGIBLE),
    )
    return Asked(position, identifier if identified else None, person, identified and not opted_out)


def _find_service(item: _Item, profile: Profile, policies: Policies, found: ItemFindings) -> None:
    if item.purpose in policies.floor.consent_all_purposes:
        found.words |= _tenant(item)
    people = [(at, one) for at, one in enumerate(item.subjects) if not _is_bot(one)]
    device = _device_data(item, policies.floor.min_aggregate_k)
    metadata = item.is_of(METADATA_KINDS)
    if device in ("optional", "personal"):
        asks = profile.terminal_rule == "consent"
        found.words["device_data"] = f"{device}_{_not_asked_yet(people, asks)}"
    elif device is not None:
        found.words["device_data"] = device
    asks_about_device = device in ("optional", "personal") and profile.terminal_rule == "consent"
    asks_about_metadata = metadata and profile.traffic_rule == "consent_all"
    if metadata:
        found.words["traffic_data"] = f"metadata_{_not_asked_yet(people, asks_about_metadata)}"
        opted_out = any(read_flag(one, "opt_out", otherwise=True) for _, one in people)
        found.words["opt_outs"] = "some" if opted_out else "none"
    if asks_about_device or asks_about_metadata:
        found.asked = tuple(_asked(at, one, opted_out_counts=True) for at, one in people)
        found.use = _use(item, policies, in_content=False)


def _not_asked_yet(people: Sequence[object], asks: bool) -> str:
    """The word before anybody has agreed; it becomes "agreed" only when everybody has."""
    if not people:
        return "nobody"
    return "not_agreed" if asks else "not_asked"


def _device_data(item: _Item, min_aggregate_k: int) -> str | None:
    if item.kind not in SERVICE_KINDS:
        return None
    if item.fields.get("diag") != "required":
        return "optional"
    covers = item.fields.get("aggregate_k")
    enough = isinstance(covers, int) and not isinstance(covers, bool) and covers >= min_aggregate_k
    return "aggregated" if enough else "personal"


def _use(item: _Item, policies: Policies, *, in_content: bool) -> Use:
    fields = item.fields
    assist = item.purpose in ASSIST_PURPOSES
    request = Request(
        purpose=item.purpose,
        tenant=fields["tenant"],
        meeting=fields["meeting"],
        controller=fields["controller"],
        as_of=item.as_of,
        registry=item.case.registry,
        floor=policies.floor,
    )
    templates = frozenset(k for k in TEMPLATE_KINDS if item.is_of((k,)))
    recipient = fields.get("recipient")
    return Use(
        request=request,
        kind=item.kind,
        roots=item.roots,
        templates=templates,
        coverable=item.kind in CONTENT_LIKE or item.has_content_root or not _moved_by_hit(item, in_content),
        recipient=recipient if isinstance(recipient, str) else None,
        assist=assist,
        assist_mechanisms_apply=assist and in_content,
        special=item.flag("special", otherwise=True),
        recorded_end=item.recorded_end,
        express=policies.floor.express,
        mechanisms=frozenset((*policies.floor.express, *WEAK_MECHANISMS)),
        age_limits=policies.age_limits,
    )


def _moved_by_hit(item: _Item, in_content: bool) -> bool:
    return in_content and item.fields["lane"] == SERVICE
