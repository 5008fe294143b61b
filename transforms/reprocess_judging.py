"""A part looked at alone: of which fields it has values under mended contracts, and whether it may move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.careful import CarefulDecoder
from schemas.cells import Level, Path, UnknownValue
from schemas.classification import Protection
from schemas.contract import EventShape, Field
from schemas.decoder_plan import Learned
from transforms.reprocess_epochs import Linked
from transforms.reprocess_parts import Part, Place, holds_nothing, known_paths, unknown_key, value_of
from transforms.reprocess_told import DOES_NOT_FIT, ENVELOPE_FIELD, NO_EFFECT, STILL_UNKNOWN
from transforms.shape_columns import ShapeColumns

LEFT_OVER: Final = (STILL_UNKNOWN, DOES_NOT_FIT)
"""Reasons of parts that no field takes: what they say of consent or of deletions counts all the same."""

FIXED_ROLES: Final = ("id", "source", "time", "tenant", "meeting", "participant")
"""Roles of an envelope: who, where and when an event is about is told by all its rows, and sealed to them."""


@dataclass
class Judged:
    """A part looked at alone: where it stands, which fields it reaches, and why it has to stay."""

    part: Part
    place: Place | None = None
    touched: tuple[Field, ...] = ()
    reason: str = ""

    def reached(self) -> Iterator[Path]:
        """Where it stands, its own key included, and the fields that it has values of."""
        key = unknown_key(self.part)
        if self.place is not None:
            yield self.place.path if key is None else (*self.place.path, key)
        yield from (entry.path for entry in self.touched)

    def misfits(self) -> list[Part]:
        """What is left of it where none of its values fits its field: the same values under known paths."""
        places = "".join(f"[{number}]" for number in self.place.places) if self.place else ""
        return [Part(entry.dotted + places, b"") for entry in self.touched]


class KnownShape:
    """What is known of a shape before any event."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.plan = ShapeColumns(shape)
        self.known = known_paths(shape)
        self.fixed = {shape.envelope[role] for role in FIXED_ROLES if role in shape.envelope}
        self.fixed.add(shape.type_at)

    def decoded(self, lines: Sequence[bytes]) -> Level:
        """Events as columns.

        Raises:
            RecordFault: One is refused.
        """
        decoder = CarefulDecoder(self.shape, Learned())
        for line in lines:
            decoder.read(line)
        return decoder.level()


def touched_by(level: Level) -> Iterator[Path]:
    """The fields that a level and its arrays have values of."""
    for path, cells in level.cells.items():
        if cells.null_count < len(cells):
            yield path
    for below in level.arrays.values():
        yield from touched_by(below)


def _unknown(level: Level) -> Iterator[UnknownValue]:
    yield from level.unknown
    for below in level.arrays.values():
        yield from _unknown(below)


def why_it_stays(shape: KnownShape, judged: Judged, level: Level, linked: Linked | str) -> str:
    """Why a part stays sealed, whatever the others of its event become; empty where nothing says so."""
    if not judged.touched:
        unknown = list(_unknown(level))
        if unknown:
            return DOES_NOT_FIT if all(each.key is None for each in unknown) else STILL_UNKNOWN
        return "" if holds_nothing(value_of(judged.part)) else NO_EFFECT
    if any(entry.path in shape.fixed for entry in judged.touched):
        return ENVELOPE_FIELD
    needs = any(entry.protection is Protection.PSEUDONYM for entry in judged.touched)
    return linked if needs and isinstance(linked, str) else ""
