"""Generated faults: records that cannot be taken, and records with values that no field takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from pipelines import generator_cloudevents as cloud
from pipelines import generator_zoom as zoom
from pipelines.generator_clock import clock_at
from pipelines.generator_cloud_records import record
from pipelines.generator_expected import COFFERDAM, ZOOM, Batch, Expect, held
from pipelines.generator_people import Person, account_of, letters

REASONS = MappingProxyType(
    {
        "truncated": "NOT_JSON",
        "single_quotes": "NOT_JSON",
        "trailing_comma": "NOT_JSON",
        "not_a_number": "NOT_JSON",
        "lone_surrogate": "NOT_JSON",
        "control_character": "NOT_JSON",
        "repeated_key": "DUPLICATE_KEY",
        "repeated_key_escaped": "DUPLICATE_KEY",
        "invalid_utf8": "INVALID_UTF8",
        "overlong_utf8": "INVALID_UTF8",
        "too_deep": "TOO_DEEP",
        "array_record": "NOT_AN_EVENT",
        "text_record": "NOT_AN_EVENT",
        "unknown_type": "UNKNOWN_TYPE",
        "no_type": "UNKNOWN_TYPE",
        "id_collision": "ID_COLLISION",
    }
)
"""Reason code of each fault for which a record is sealed whole; UNKNOWN_TYPE is the outcome `unknown`."""

TAKEN = (
    "unknown_field",
    "unknown_fields_below",
    "outside_set",
    "outside_pattern",
    "wrong_type",
    "out_of_range",
)
"""Faults of single values: the value is sealed as unclassified, the rest of the record goes on."""

FAULTS: tuple[str, ...] = (*REASONS, *TAKEN)

_DEEP = "[" * 40 + "]" * 40
_ZOOM_AT = "payload.object.participant.data.[]"
_CLOUD_AT = "data.client"

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Sound:
    """A sound record from which a faulty one is made, with places where something can be put.

    Attributes:
        line: The record.
        first: Its first member.
        extra: Text that stands once in it, behind which members of the event can be put.
        below: Text that stands once in it, behind which members of an inner object can be put.
        expect: What the sound record comes to.
        closed: A member with a closed set, one with a pattern and one with a bounded number.
    """

    line: bytes
    first: bytes
    extra: bytes
    below: bytes
    expect: Expect
    closed: tuple[bytes, bytes]
    pattern: tuple[bytes, bytes]
    number: tuple[bytes, bytes]
    paths: tuple[str, str, str]


def _zoom_sound(rng: random.Random, person: Person, number: int, milliseconds: int) -> Sound:
    version, port = f"6.{number % 10}.{number % 9973}", rng.randrange(1024, 60000)
    body = (
        f'"account_id":"{account_of(person.tenant)}","object":{{"uuid":"f{number}{letters(rng, 12)}==",'
        f'"participant":{{"participant_id":"{number}","participant_user_id":"{person.zoom_id}",'
        f'"email":"{person.email}","data":[{{"device":"WIN","location":"Paris","version":"{version}",'
        f'"audio_internal_ip_port":{port}}}]}}}}'
    )
    return Sound(
        line=zoom.record("meeting.participant_data", milliseconds, body),
        first=b'"event":"meeting.participant_data"',
        extra=f'"event_ts":{milliseconds},'.encode(),
        below=b'"data":[{',
        expect=zoom.DATA,
        closed=(b'"device":"WIN"', b'"device"'),
        pattern=(f'"version":"{version}"'.encode(), b'"version"'),
        number=(f'"audio_internal_ip_port":{port}'.encode(), b'"audio_internal_ip_port"'),
        paths=(f"{_ZOOM_AT}.device", f"{_ZOOM_AT}.version", f"{_ZOOM_AT}.audio_internal_ip_port"),
    )


def _cloud_sound(rng: random.Random, person: Person, number: int, milliseconds: int) -> Sound:
    version, count = f"4.{number % 10}.{number % 9973}", rng.randrange(1, 60)
    body = (
        f'"tenant_id":"{person.tenant}","participant":{{"user_id":"{person.user_id}"}},"feature":"mute",'
        f'"action":"opened","use_count":{count},"client":{{"platform":"web","version":"{version}"}}'
    )
    moment = clock_at(milliseconds)
    return Sound(
        line=record(cloud.FEATURE.event_type, f"x-{number:010x}", moment, body),
        first=b'"specversion":"1.0"',
        extra=f'"time":"{moment}",'.encode(),
        below=b'"client":{',
        expect=cloud.FEATURE,
        closed=(b'"platform":"web"', b'"platform"'),
        pattern=(f'"version":"{version}"'.encode(), b'"version"'),
        number=(f'"use_count":{count}'.encode(), b'"use_count"'),
        paths=(f"{_CLOUD_AT}.platform", f"{_CLOUD_AT}.version", "data.use_count"),
    )


def make_fault(
    name: str, source: str, rng: random.Random, person: Person, number: int, milliseconds: int
) -> list[Batch]:
    """The records of one fault: one, or two where the fault lies between records.

    Args:
        name: One of `FAULTS`; `id_collision` needs a source whose events have ids.
        source: zoom or cofferdam.
        rng: Where all choices come from.
        person: Whose record it is.
        number: A number that no other fault has: equal records would be duplicates.
        milliseconds: Its time, ms since 1970 UTC.
    """
    make = _cloud_sound if source == COFFERDAM else _zoom_sound
    sound = make(rng, person, number, milliseconds)
    if name == "id_collision":
        other = sound.line.replace(sound.number[0], b'"use_count":77')
        return [Batch(sound.expect, [sound.line], source), Batch(held(REASONS[name]), [other], source)]
    if name in REASONS:
        return [Batch(_HELD[name], [_broken(name, sound, source, number)], source)]
    return [_misfit(name, sound, source, number)]


_HELD = {name: held(reason) for name, reason in REASONS.items()}


def _put(line: bytes, place: bytes, more: bytes) -> bytes:
    """Put text behind a place that stands once in a record."""
    before, found, after = line.partition(place)
    return before + found + more + after


def _broken(name: str, sound: Sound, source: str, number: int) -> bytes:
    if name in _WHOLE:
        return _WHOLE[name](sound, source, number)
    return _put(sound.line, sound.extra, _INSIDE[name])


_INSIDE = {
    "trailing_comma": b'"note":[1,2,],',
    "not_a_number": b'"note":NaN,',
    "lone_surrogate": b'"note":"\\ud83d",',
    "control_character": b'"note":"a\tb",',
    "repeated_key": b'"note":1,"note":2,',
    "repeated_key_escaped": b'"note":1,"n\\u006fte":2,',
    "invalid_utf8": b'"note":"caf\xe9",',
    "overlong_utf8": b'"note":"\xc0\xaf",',
    "too_deep": b'"note":' + _DEEP.encode() + b",",
}

_WHOLE: dict[str, Callable[[Sound, str, int], bytes]] = {
    "truncated": lambda sound, source, number: sound.line[: len(sound.line) * 3 // 5],
    "single_quotes": lambda sound, source, number: sound.line.replace(b'"', b"'"),
    "array_record": lambda sound, source, number: b"[%d,%s]" % (number, sound.line),
    "text_record": lambda sound, source, number: b'"record %d of nothing"' % number,
    "unknown_type": lambda sound, source, number: sound.line.replace(
        *(
            (b"meeting.participant_data", b"meeting.mind_read")
            if source == ZOOM
            else (b"usage.feature", b"usage.telepathy")
        )
    ),
    "no_type": lambda sound, source, number: b'{"hello":%d,"from":"nobody"}' % number,
}


def _misfit(name: str, sound: Sound, source: str, number: int) -> Batch:
    """A record whose rest goes on: unknown fields, or a value that does not fit its field."""
    if name == "unknown_field":
        line = _put(sound.line, sound.extra, b'"mood_of_%d":"gloomy",' % (number % 7))
        return Batch(_unclassified(source, 1, ()), [line], source)
    if name == "unknown_fields_below":
        line = _put(sound.line, sound.below, b'"diary":{"today":"fired"},"blood_type":"AB",')
        return Batch(_unclassified(source, 2, ()), [line], source)
    (old, key), value, path = {
        "outside_set": (sound.closed, b'"the old laptop of my sister"', sound.paths[0]),
        "outside_pattern": (sound.pattern, b'"the one Ben built"', sound.paths[1]),
        "wrong_type": (sound.number, b'{"is":"none of your business"}', sound.paths[2]),
        "out_of_range": (sound.number, b"4915112345678", sound.paths[2]),
    }[name]
    line = sound.line.replace(old, key + b":" + value)
    return Batch(_unclassified(source, 0, (path,)), [line], source)


_MADE: dict[tuple[str, int, tuple[str, ...]], Expect] = {}


def _unclassified(source: str, unknown_fields: int, misfits: tuple[str, ...]) -> Expect:
    """One expectation for all records of a fault, so that they can be counted together."""
    base = zoom.DATA if source == ZOOM else cloud.FEATURE
    key = (source, unknown_fields, misfits)
    if key not in _MADE:
        _MADE[key] = base.with_unclassified(unknown_fields=unknown_fields, misfits=misfits)
    return _MADE[key]
