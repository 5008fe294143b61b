"""The people of generated meetings, and what they say.

Names, addresses and numbers are invented: mail domains end in `.example`, phone numbers lie in ranges
kept free for fiction. Everything follows from the seed.
"""

from __future__ import annotations

import base64
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.generator_stories import AGREES, STORIES

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
        story: What the person did about consent, a key of `generator_stories.STORIES`.
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
    story: str

    @property
    def accounts(self) -> tuple[tuple[str, tuple[str, str], str], ...]:
        """Letter of each platform, the person's typed identifier on it and the tenant's id there."""
        return (
            ("c", ("cofferdam.user_id", self.user_id), self.tenant),
            ("z", ("zoom.user_id", self.zoom_id), account_of(self.tenant)),
        )

    @property
    def agrees(self) -> bool:
        """Whether a grant for AI training that is in order stands in the consent records."""
        return self.story == AGREES

    @property
    def objects(self) -> bool:
        """Whether what the person sends says that somebody objects."""
        return self.number % 10 == 1 or self.number % 30 == 12

    @property
    def age(self) -> str:
        """Age class, as the registry attests it."""
        return "minor" if self.story == "minor" else "adult"

    @property
    def relation(self) -> str:
        """Relation to the controller, as the registry attests it."""
        return "employee" if self.story == "employee" or self.number % 8 == 6 else "guest"


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

    def who(self, tenant: str, story: str) -> Sequence[Person]:
        """The people of a tenant with a story."""
        return self._by_story.get((tenant, story), ())

    @cached_property
    def _by_story(self) -> dict[tuple[str, str], list[Person]]:
        found = defaultdict(list)
        for person in self.people:
            found[person.tenant, person.story].append(person)
        return found

    def media(self, rng: random.Random, size: int) -> str:
        """Base64 text of about `size` characters, as a codec's output: it does not compress."""
        start = rng.randrange(0, len(self.payload) - size) & ~3
        return self.payload[start : start + (size & ~3)]


def account_of(tenant: str) -> str:
    """A tenant's account id on Zoom."""
    return f"{tenant.upper()}accountid{len(tenant)}"


def make_cast(seed: int, size: int) -> Cast:
    """Invent everybody.

    Args:
        seed: Where all choices come from.
        size: How many people, over all tenants.
    """
    rng = random.Random(f"{seed}/people")  # noqa: S311 - invented data must repeat, not surprise
    per_tenant = max(size // len(TENANTS), 8) // 2 * 2
    by_tenant = {
        tenant: tuple(
            _person(rng, tenant, place * per_tenant + number, _story(place, number))
            for number in range(per_tenant)
        )
        for place, tenant in enumerate(TENANTS)
    }
    payload = base64.b64encode(rng.randbytes(_PAYLOAD_BYTES)).decode()
    return Cast(by_tenant, tuple(map(quoted, SAYINGS)), tuple(map(quoted, TITLES)), payload)


def _story(place: int, number: int) -> str:
    """Every second person agrees; the other stories are shared out: a tenant has few of them, each often."""
    if number % 2 == 0:
        return AGREES
    others = [name for name in STORIES if name != AGREES][place :: len(TENANTS)]
    return others[number // 2 % len(others)]


def _person(rng: random.Random, tenant: str, number: int, story: str) -> Person:
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
        story=story,
    )
