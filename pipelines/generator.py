"""Make realistic meeting events, with the outcomes that a run over them should come to.

Meetings of many sizes run side by side, minute by minute; people from several regions join and leave them;
every participant sends a quality record a minute, and now and then something else. On the way some records
are delivered again, some late, some spoilt. Everything follows from the seed: no clock, no other source of
chance. Memory depends on how many meetings run at a time, not on how many records are asked for.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from pipelines import generator_cloudevents as cloud
from pipelines import generator_zoom as zoom
from pipelines.generator_clock import FIRST_DAY
from pipelines.generator_consents import SigningKeys, consent_records, objection_of
from pipelines.generator_decisions import Decisions
from pipelines.generator_expected import COFFERDAM, REPEATED, SEPARATED, ZOOM, Batch, Outcomes
from pipelines.generator_faults import FAULTS, make_fault
from pipelines.generator_files import EventFiles
from pipelines.generator_meetings import Meeting, plan_meeting
from pipelines.generator_people import Cast, make_cast
from pipelines.generator_pools import Pools
from pipelines.generator_registry import RegistryFolder
from schemas.errors import ConfigurationError, InfrastructureFault

SHAPES: dict[str, tuple[str, ...]] = {
    "zoom": (ZOOM,),
    "cloudevents": (COFFERDAM,),
    "mixed": (ZOOM, COFFERDAM),
}
EVENTS_FOLDER, EXPECTED_FILE = "events", "expected/outcomes.json"
DECISIONS_FILE = "expected/decisions.json"
CONSENTS_FILE = "consents/records.jsonl"
REGISTRY_FOLDER = "registry"

_MOST_MEETINGS = 60
_RECORDS_A_MEETING = 2_000
_FEWEST_PEOPLE, _MOST_PEOPLE = 160, 5_000
_FIRST_MS = int(FIRST_DAY.timestamp() * 1000)


@dataclass(frozen=True)
class Settings:
    """What to make.

    Attributes:
        events: Number of records, faults and repeated ones among them.
        seed: Where all choices come from.
        shape: A key of `SHAPES`.
    """

    events: int
    seed: int
    shape: str = "mixed"

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources whose shape the records have."""
        return SHAPES[self.shape]


def _ignore(_: object) -> None:
    """Take no note."""


class EventStream:
    """All records of one generation, made as they are asked for.

    Args:
        settings: What to make.
        cast: The people; made from the settings if none are given.
        on_meeting: Called with each meeting that is over.
        on_alone: Called with each batch of records that belong to no meeting of the stream.
    """

    def __init__(
        self,
        settings: Settings,
        cast: Cast | None = None,
        on_meeting: Callable[[Meeting], None] = _ignore,
        on_alone: Callable[[Batch], None] = _ignore,
    ) -> None:
        self._cast = cast_of(settings) if cast is None else cast
        self._on_meeting, self._on_alone = on_meeting, on_alone
        events = settings.events
        self._sources = settings.sources
        self._total = events
        self._rng = random.Random(f"{settings.seed}/events")  # noqa: S311 - records must repeat for a seed
        self._seed = settings.seed
        self._active: list[Meeting] = []
        self._waiting: list[tuple[int, int, Batch]] = []
        self._order = count()
        self._made = 0
        self._minute = 0
        self._faults = 0
        self._meetings = 0
        self._fault_every = max(20, min(1_000, events // 50))
        self._repeat_every = max(40, min(300, events // 30))
        self._most_meetings = max(2, min(_MOST_MEETINGS, events // _RECORDS_A_MEETING))
        self._next_fault, self._next_repeat = self._fault_every, self._repeat_every

    def batches(self) -> Iterator[Batch]:
        """The records in the order of their delivery, in batches that were built alike."""
        cast = self._cast
        pools = Pools(self._seed)
        while self._start_meetings(cast, pools) or self._active:
            yield from self._tick(cast)
        yield from self._fill(cast)
        while self._waiting:
            yield heapq.heappop(self._waiting)[2]

    def _room(self) -> int:
        """Records that are neither made nor promised yet."""
        promised = sum(meeting.bound for meeting in self._active)
        return self._total - self._made - len(self._waiting) - promised

    def _start_meetings(self, cast: Cast, pools: Pools) -> bool:
        """Start meetings while there is room for them; whether one was started."""
        largest = max(2, self._total // 60)
        started = False
        while len(self._active) < self._most_meetings:
            if self._room() < max(60, min(_RECORDS_A_MEETING, self._total // 25)):
                break
            plan = plan_meeting(self._rng, cast, self._minute, largest, self._meetings)
            source = self._sources[self._meetings % len(self._sources)]
            make = cloud.CloudMeeting if source == COFFERDAM else zoom.ZoomMeeting
            self._active.append(make(plan, cast, self._rng, pools))
            self._meetings += 1
            started = True
        return started

    def _tick(self, cast: Cast) -> Iterator[Batch]:
        """One minute of all meetings; those for which there is no room any more end."""
        while self._active and self._room() < 0:
            largest = max(self._active, key=lambda meeting: meeting.bound)
            yield from self._close(largest, cast)
        for meeting in list(self._active):
            if meeting.is_over:
                yield from self._close(meeting, cast)
            else:
                yield from self._deliver(meeting.step(), cast)
        self._minute += 1

    def _close(self, meeting: Meeting, cast: Cast) -> Iterator[Batch]:
        self._active.remove(meeting)
        yield from self._deliver(meeting.close(), cast)
        self._on_meeting(meeting)

    def _fill(self, cast: Cast) -> Iterator[Batch]:
        """Records outside meetings, up to the number that was asked for."""
        people = list(cast.people)
        number = 0
        while self._made + len(self._waiting) < self._total:
            number += 1
            person = self._rng.choice(people)
            source = self._sources[number % len(self._sources)]
            make = cloud.between_meetings if source == COFFERDAM else zoom.between_meetings
            batch = make(self._rng, person, number, self._now() + number)
            self._on_alone(batch)
            yield from self._deliver(iter((batch,)), cast)

    def _now(self) -> int:
        return _FIRST_MS + self._minute * 60_000

    def _deliver(self, batches: Iterator[Batch], cast: Cast) -> Iterator[Batch]:
        for batch in batches:
            yield from self._passed_on(batch)
            if self._made >= self._next_fault:
                self._next_fault += self._fault_every
                yield from self._fault(cast)
            while self._waiting and self._waiting[0][0] <= self._made:
                late = heapq.heappop(self._waiting)[2]
                self._made += 1
                yield late

    def _passed_on(self, batch: Batch) -> Iterator[Batch]:
        """A batch, but that now and then one record is late, or comes again later."""
        if self._made + len(batch.lines) >= self._next_repeat and batch.expect.outcome == SEPARATED:
            self._next_repeat += self._repeat_every
            place = self._rng.randrange(len(batch.lines))
            line = batch.lines[place]
            if self._rng.random() < 0.5:
                self._hold_back(Batch(batch.expect, [line], batch.source))
                batch = batch._replace(lines=batch.lines[:place] + batch.lines[place + 1 :])
            elif self._room() > len(batch.lines):
                self._hold_back(Batch(REPEATED, [line], batch.source))
        if batch.lines:
            self._made += len(batch.lines)
            yield batch

    def _hold_back(self, batch: Batch) -> None:
        due = self._made + self._rng.randrange(20, max(40, self._fault_every * 5))
        heapq.heappush(self._waiting, (due, next(self._order), batch))

    def _fault(self, cast: Cast) -> Iterator[Batch]:
        name = FAULTS[self._faults % len(FAULTS)]
        source = self._rng.choice(self._sources)
        if name == "id_collision":
            source = self._sources[-1]
        self._faults += 1
        if self._room() < 2 or (name == "id_collision" and source != COFFERDAM):
            return
        person = self._rng.choice(cast.by_tenant[self._rng.choice(tuple(cast.by_tenant))])
        when = self._now() + self._rng.randrange(60_000)
        for batch in make_fault(name, source, self._rng, person, self._faults, when):
            self._made += 1
            self._on_alone(batch)
            yield batch


def cast_of(settings: Settings) -> Cast:
    """The people of a generation."""
    return make_cast(settings.seed, max(_FEWEST_PEOPLE, min(_MOST_PEOPLE, settings.events // 100)))


def generate(settings: Settings, output: Path) -> dict[str, Any]:
    """Write records, what they should come to, and a registry with signed consent records into a folder.

    Args:
        settings: What to make.
        output: A folder that does not exist or is empty.

    Returns:
        What the records should come to, as in `expected/outcomes.json`.

    Raises:
        ConfigurationError: OUTPUT_NOT_EMPTY.
        InfrastructureFault: OUTPUT_UNWRITABLE.
    """
    try:
        _prepare(output)
        return _World(settings, output).write()
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise InfrastructureFault(
            "OUTPUT_UNWRITABLE",
            f"cannot write below {output} ({reason}); free space or choose another folder",
        ) from None


def _prepare(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigurationError("OUTPUT_NOT_EMPTY", f"{output} is not an empty folder; name a new one")
    for folder in (EVENTS_FOLDER, Path(EXPECTED_FILE).parent, Path(CONSENTS_FILE).parent, REGISTRY_FOLDER):
        (output / folder).mkdir(parents=True, exist_ok=True)


class _World:
    """Everything that one generation writes."""

    def __init__(self, settings: Settings, output: Path) -> None:
        self._settings, self._output = settings, output
        self._cast, self._keys = cast_of(settings), SigningKeys(settings.seed)
        self._registry = RegistryFolder(output / REGISTRY_FOLDER, self._cast, self._keys)
        self._decisions = Decisions()

    def write(self) -> dict[str, Any]:
        with (self._output / CONSENTS_FILE).open("x", encoding="utf-8") as consents:
            for draft in consent_records(self._cast):
                consents.write(self._keys.line(draft, self._registry.registry))
            expected = self._write_events(consents)
        self._registry.finish()
        _write_json(self._output / EXPECTED_FILE, expected)
        decisions = {"seed": self._settings.seed, **self._decisions.as_dict()}
        _write_json(self._output / DECISIONS_FILE, decisions)
        return expected

    def _write_events(self, consents: TextIO) -> dict[str, Any]:
        """The records; what is only known when a meeting is over follows the consent records."""

        def note(meeting: Meeting) -> None:
            self._registry.add_meeting(meeting)
            self._decisions.add_meeting(meeting)
            draft = objection_of(meeting)
            if draft is not None:
                consents.write(self._keys.line(draft, self._registry.registry))

        settings, outcomes = self._settings, Outcomes()
        stream = EventStream(settings, self._cast, note, self._decisions.add_alone)
        with EventFiles(self._output / EVENTS_FOLDER, settings.sources, settings.events) as files:
            for batch in stream.batches():
                files.write(batch)
                outcomes.add(batch)
        return {"seed": settings.seed, "shape": settings.shape, **outcomes.as_dict()}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
