"""The people of generated meetings, what they say, and the consent records that they leave.

Names, addresses and numbers are invented: mail domains end in `.example`, phone numbers lie in ranges
kept free for fiction. Everything follows from the seed.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

FIRST_DAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When the first generated meeting can begin; nothing here reads the clock."""

CONTROLLER = "example-controller"
TERMS = "t-2026-01"
_OLD_TERMS = "t-2023-03"

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PAYLOAD_BYTES = 48_000


@dataclass(frozen=True)
class Home:
    """Where people are: region code, time zone, phone prefix, first and last names."""

    region: str
    timezone: str
    phone: str
    first: tuple[str, ...]
    last: tuple[str, ...]


HOMES: tuple[Home, ...] = (
    Home(
        "eu-de", "Europe/Berlin", "+49 30 23125 1", ("Jürgen", "Anke", "Mehmet", "Lena"), ("Groß", "Özdemir")
    ),
    Home("eu", "Europe/Paris", "+33 1 99 00 12 ", ("Zoé", "Noël", "Iñaki", "Chiara"), ("Lefèvre", "D'Amico")),
    Home(
        "uk", "Europe/London", "+44 20 7946 09", ("Priya", "Callum", "Siân", "Grace"), ("O'Neill", "Okafor")
    ),
    Home("us-ca", "America/Los_Angeles", "+1 415 555 01", ("Maria", "Kai", "Dolores"), ("Nguyen", "Reyes")),
    Home("us-il", "America/Chicago", "+1 312 555 01", ("Walter", "Imani", "Sofia"), ("Kowalski", "Brooks")),
    Home("us-default", "America/New_York", "+1 212 555 01", ("Ruth", "Omar", "June"), ("Levy", "Carter")),
    Home("br", "America/Sao_Paulo", "+55 11 5550 ", ("João", "Conceição", "Luana"), ("Gonçalves", "Araújo")),
    Home("in", "Asia/Kolkata", "+91 22 5550 ", ("Aarav", "दीपिका", "Meera"), ("Iyer", "शर्मा")),
    Home("jp", "Asia/Tokyo", "+81 3 5550 ", ("美咲", "Haruto", "健太"), ("佐藤", "Tanaka")),
    Home("ca-qc", "America/Montreal", "+1 514 555 01", ("Maëlle", "Étienne"), ("Tremblay", "Côté")),
)

TENANTS = ("acme", "globex", "initech", "umbrella")
TITLES = (
    "Weekly planning",
    "Budget 2026: what we cut",
    'Interview "platform lead"',
    "Patient handover, ward 4",
    "Bilan de l'équipe",
    "Projektstand & offene Punkte",
    "四半期レビュー",
)
SAYINGS = (
    "Can everybody hear me?",
    "Please keep this between us: the merger closes in May.",
    "My number is on the slide, call me after lunch.",
    'She said "never again" 😀',
    "Ich schicke die Zahlen heute Abend.",
    "Le budget est bloqué jusqu'à vendredi.",
    "次のスライドをお願いします。",
    "The password of the wiki is still the old one, sorry.",
    "See https://wiki.example/plan?id=42&lang=en",
    "I have to leave for my medical appointment at four.",
    "+1, agreed. Let's take it offline.",
    '{"status": "no, this is not JSON that anybody should read"}',
)
FILE_NAMES = ("salaries-2026.xlsx", "Vertrag Müller.pdf", "roadmap draft 3.pptx", "scan0042.jpg")
DEVICE_LABELS = (
    "Anna's AirPods Pro",
    "Conference cam (room Zugspitze)",
    "Jabra Link 380",
    "FaceTime HD Camera",
)


def quoted(text: str) -> str:
    """A JSON string of a text, characters beyond ASCII as they are."""
    return json.dumps(text, ensure_ascii=False)


def clock(moment: datetime) -> str:
    """A moment as RFC 3339 text to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_at(milliseconds: int) -> str:
    """A moment in ms since 1970 UTC as RFC 3339 text to the second."""
    return clock(datetime.fromtimestamp(milliseconds // 1000, UTC))


def letters(rng: random.Random, number: int) -> str:
    """Random letters and digits."""
    return "".join(rng.choices(_ALPHABET, k=number))


def digits(rng: random.Random, number: int) -> str:
    """A random number of so many digits, as text."""
    return str(rng.randrange(10 ** (number - 1), 10**number))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account.

    Attributes:
        name: Display name as a JSON string.
        agrees: Whether a valid grant for AI training stands in the consent records.
    """

    number: int
    tenant: str
    home: Home
    plain_name: str
    name: str
    email: str
    phone: str
    zoom_id: str
    user_id: str
    agrees: bool


@dataclass(frozen=True)
class Cast:
    """Everybody, and prepared pieces of what they say and send.

    Attributes:
        by_tenant: People by tenant.
        sayings: Sentences as JSON strings.
        titles: Meeting titles as JSON strings.
        payload: Base64 text from which media chunks are cut.
    """

    by_tenant: dict[str, tuple[Person, ...]]
    sayings: tuple[str, ...]
    titles: tuple[str, ...]
    payload: str

    @property
    def people(self) -> Iterator[Person]:
        """All people, tenant by tenant."""
        for members in self.by_tenant.values():
            yield from members

    def agreeing(self, tenant: str) -> Sequence[Person]:
        """The people of a tenant who agreed to AI training."""
        return [person for person in self.by_tenant[tenant] if person.agrees]

    def media(self, rng: random.Random, size: int) -> str:
        """Base64 text of about `size` characters, as a codec's output: it does not compress."""
        start = rng.randrange(0, len(self.payload) - size) & ~3
        return self.payload[start : start + (size & ~3)]


def make_cast(seed: int, size: int) -> Cast:
    """Invent everybody.

    Args:
        seed: Where all choices come from.
        size: How many people, over all tenants.
    """
    rng = random.Random(f"{seed}/people")  # noqa: S311 - invented data must repeat, not surprise
    per_tenant = max(size // len(TENANTS), 8)
    by_tenant = {
        tenant: tuple(_person(rng, tenant, place * per_tenant + number) for number in range(per_tenant))
        for place, tenant in enumerate(TENANTS)
    }
    payload = base64.b64encode(rng.randbytes(_PAYLOAD_BYTES)).decode()
    return Cast(by_tenant, tuple(map(quoted, SAYINGS)), tuple(map(quoted, TITLES)), payload)


def _person(rng: random.Random, tenant: str, number: int) -> Person:
    home = rng.choice(HOMES)
    plain = f"{rng.choice(home.first)} {rng.choice(home.last)}"
    return Person(
        number=number,
        tenant=tenant,
        home=home,
        plain_name=plain,
        name=quoted(plain),
        email=f"person{number}.{letters(rng, 4).lower()}@{tenant}.example",
        phone=home.phone + digits(rng, 2),
        zoom_id=letters(rng, 22),
        user_id=f"usr_{letters(rng, 16)}",
        agrees=number % 2 == 0,
    )


def consent_records(cast: Cast, seed: int) -> Iterator[dict[str, Any]]:
    """Consent records of everybody, unsigned: whoever signs adds `kid` and the signature.

    Those who agree have a valid grant for AI training and, under another id, one for the assist purposes. Of
    the others some never said anything, some refused or withdrew, and some have a record that is no consent:
    pre-ticked, bundled with terms, expired, under superseded terms, for a vague purpose, by somebody else.

    Args:
        cast: The people.
        seed: Where all choices come from.
    """
    rng = random.Random(f"{seed}/consents")  # noqa: S311 - invented data must repeat, not surprise
    for person in cast.people:
        for platform, subject in (("c", person.user_id), ("z", person.zoom_id)):
            kind = "cofferdam.user_id" if platform == "c" else "zoom.user_id"
            base = _record(person, f"r-{platform}{person.number:06d}", f"{kind}:{subject}")
            yield from _valid(base) if person.agrees else _invalid(base, rng.randrange(10))


def _record(person: Person, record_id: str, subject: str) -> dict[str, Any]:
    return {
        "id": record_id,
        "subject": subject,
        "status": "given",
        "grantor": "subject",
        "mechanism": "explicit_statement",
        "purposes": ["ai_training"],
        "kinds": ["audio", "video", "chat", "transcript", "screen_share", "caption", "summary", "file"],
        "scope": f"tenant:{person.tenant}",
        "recipients": ["first_party"],
        "terms": TERMS,
        "event_time": clock(FIRST_DAY - timedelta(days=20, minutes=person.number)),
        "controller": CONTROLLER,
    }


def _valid(base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield base
    assist = {
        "purposes": ["transcription", "captioning", "meeting_summary"],
        "mechanism": "notice_acknowledged",
    }
    yield {**base, **assist, "id": f"{base['id']}-a"}


_FLAWED: tuple[dict[str, Any], ...] = (
    {"status": "refused"},
    {"mechanism": "preticked"},
    {"mechanism": "tos_acceptance", "bundled": True},
    {"valid_until": clock(FIRST_DAY - timedelta(days=1))},
    {"terms": _OLD_TERMS},
    {"purposes": ["ml_stuff"]},
    {"grantor": "admin"},
    {"conditional": True},
)


def _invalid(base: dict[str, Any], choice: int) -> Iterator[dict[str, Any]]:
    if choice < len(_FLAWED):
        yield {**base, **_FLAWED[choice]}
    elif choice == len(_FLAWED):
        yield base
        later = clock(FIRST_DAY - timedelta(days=2))
        yield {**base, "id": f"{base['id']}-w", "status": "withdrawn", "event_time": later}
