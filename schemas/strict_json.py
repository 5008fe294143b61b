r"""A strict JSON reader on bytes, for what the fast decoder cannot vouch for.

The fast decoder (msgspec) checks the grammar of RFC 8259, but inside raw values it lets invalid UTF-8 and
equal keys pass, and how deep it follows nesting depends on the interpreter. This reader decides all of it. It
accepts exactly the records that msgspec accepts and that besides are valid UTF-8, name no key twice in one
object (`"\u0061"` is the key `"a"`) and nest no deeper than allowed.

It is iterative, so that nesting costs no stack; its patterns are possessive, so that time is linear in the
length of a record; and it makes no Python string of a value: values are spans of the record's bytes. Numbers
are checked for grammar alone: `1e999` is JSON, and whoever gives it a type judges its range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import msgspec

FaultCode = Literal["INVALID_UTF8", "NOT_JSON", "TOO_DEEP", "DUPLICATE_KEY", "NOT_AN_EVENT"]
Kind = Literal["object", "array", "string", "number", "true", "false", "null"]

_CODES: Final = frozenset(get_args(FaultCode))

_SPACES = rb"[ \t\n\r]*+"
# A surrogate pair is read as one escape, so that half a pair matches nothing (msgspec refuses it too).
_STRING = (
    rb'"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    rb'|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"'
)
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)"
_NO_KEY = rb"()"
_KEY = rb'"(' + _STRING[1:-1] + rb')"' + _SPACES
_COLON = rb":" + _SPACES
_COMMA = rb"(,)"
_NO_COMMA = rb"((?!),)"
_SCALAR_ITEMS = rb"(?:" + _SPACES + _SCALAR + _SPACES + rb",)*+"
_OPENER = rb"([{\[])" + _SPACES

# One match reads an item or member with the comma behind it, or up to the inside of the container that it is.
# The groups of each pattern, in order; a match's `lastindex` is one of the last three.
_KEY_AT, _SCALAR_AT, _COMMA_AT, _OPENER_AT = 1, 2, 3, 4


def _pattern(before: bytes, comma: bytes = _COMMA) -> re.Pattern[bytes]:
    scalar = rb"(" + _SCALAR + rb")" + _SPACES + comma + rb"?+"
    return re.compile(before + rb"(?:" + scalar + rb"|" + _OPENER + rb")")


_RECORD: Final = _pattern(_SPACES + _NO_KEY, _NO_COMMA)
_ITEM: Final = _pattern(_SPACES + _NO_KEY)
_MEMBER: Final = _pattern(_SPACES + _KEY + _COLON)
# Items that nobody keeps need no step of their own: whole runs of scalars are read at once.
_UNKEPT_ITEM: Final = _pattern(_SCALAR_ITEMS + _SPACES + _NO_KEY)
# What could be read of an item or member that does not match.
_ITEMS_BEFORE: Final = re.compile(_SCALAR_ITEMS + _SPACES)
_KEY_BEFORE: Final = re.compile(_SPACES + rb"(?:" + _KEY + rb"(?:" + _COLON + rb")?+)?+")
_SPACE: Final = re.compile(_SPACES)

# RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
_UTF8: Final = re.compile(
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
)

_KINDS: Final[dict[int, Kind]] = {
    **dict.fromkeys(b"-0123456789", "number"),
    ord("{"): "object",
    ord("["): "array",
    ord('"'): "string",
    ord("t"): "true",
    ord("f"): "false",
    ord("n"): "null",
}


class RecordFault(Exception):  # noqa: N818 - the name states the finding
    """A record that cannot be taken: a code and a position, and nothing of the record itself.

    Codes: INVALID_UTF8 (judged first, over the whole record), then whichever of NOT_JSON, TOO_DEEP and
    DUPLICATE_KEY comes first in the record (what stands behind the first fault is not read); NOT_AN_EVENT is
    for callers whose record is JSON but not of the form they need.

    Args:
        code: What is wrong.
        position: Byte offset in the data given: of the first ill-formed UTF-8 sequence, of the first token
            that cannot stand there, of the bracket that is too deep, or of the later of two equal keys.
    """

    def __init__(self, code: FaultCode, position: int) -> None:
        if code not in _CODES:
            raise ValueError("not a code of a record's fault")
        super().__init__(code, position)
        self.code: FaultCode = code
        self.position = position

    def __str__(self) -> str:
        return f"{self.code} at byte {self.position}"


@dataclass(slots=True)
class Value:
    """One JSON value of a record, as a span of the record's bytes.

    Attributes:
        kind: JSON type.
        start: Byte offset of its first byte (for a string: of the quote).
        end: Byte offset behind its last byte.
        members: Keys (unescaped, UTF-8) and values of an object, in order; None for other kinds and where
            the reader was told to keep none.
        items: Elements of an array, in order; None likewise.
    """

    kind: Kind
    start: int
    end: int
    # Keys can hold data too, so a repr shows neither.
    members: list[tuple[bytes, Value]] | None = field(default=None, repr=False)
    items: list[Value] | None = field(default=None, repr=False)


class _Open:
    """A container whose end has not been read yet; the record itself is one that ends with the data."""

    __slots__ = ("closer", "items", "keys", "match", "members", "value")

    def __init__(self, value: Value, pattern: re.Pattern[bytes], closer: bytes, *, has_keys: bool) -> None:
        self.value = value
        self.match = pattern.match
        self.closer = closer
        self.keys: set[bytes] | None = set() if has_keys else None
        self.members = value.members
        self.items = value.items


def parse_strict(data: bytes, *, max_depth: int = 32, keep_below: int | None = None) -> Value:
    """Read a record that must be exactly one JSON value, with nothing but JSON's white space around it.

    Args:
        data: The record.
        max_depth: Deepest nesting of objects and arrays that is taken; the outermost one has depth 1.
        keep_below: Containers keep their members and items only at depths below this; the rest is checked
            just the same. None keeps everything, at about 150 bytes of memory a value.

    Raises:
        RecordFault: The record is not valid UTF-8, not one JSON value, too deep, or names a key twice.
    """
    _require_utf8(data)
    found: list[Value] = []
    _scan(data, found, max_depth, max_depth + 1 if keep_below is None else keep_below)
    return found[0]


def check_containers(data: bytes, *, max_depth: int = 32) -> None:
    """Check one JSON value as `parse_strict` does, and keep nothing of it.

    Args:
        data: The value's bytes.
        max_depth: Deepest nesting that is taken inside this value; its own container has depth 1.

    Raises:
        RecordFault: As for `parse_strict`.
    """
    _require_utf8(data)
    _scan(data, [], max_depth, 0)


def count_keys(value: Value) -> int:
    """The number of keys in all objects of a value, at every depth that was kept."""
    count = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if value.members is not None:
            count += len(value.members)
            waiting.extend(member for _, member in value.members)
        elif value.items is not None:
            waiting.extend(value.items)
    return count


def unescape(data: bytes) -> str:
    """The text of a JSON string, quotes included in the bytes given. For keys and typed service fields only.

    Raises:
        RecordFault: The bytes are no JSON string.
    """
    try:
        return msgspec.json.decode(data, type=str)
    except UnicodeDecodeError:
        raise RecordFault("INVALID_UTF8", 0) from None
    except (msgspec.MsgspecError, RecursionError):
        raise RecordFault("NOT_JSON", 0) from None


def _require_utf8(data: bytes) -> None:
    if data.isascii():
        return
    well_formed = _UTF8.match(data)
    end = well_formed.end() if well_formed else 0
    if end != len(data):
        raise RecordFault("INVALID_UTF8", end)


def _scan(data: bytes, record: list[Value], max_depth: int, keep_below: int) -> None:
    """Read all of the data, and append the one value in it to `record`."""
    inner = _Open(Value("array", 0, len(data), items=record), _RECORD, b"", has_keys=False)
    outer: list[_Open] = []
    has_escapes = b"\\" in data
    position = 0
    while True:
        found = inner.match(data, position)
        if found is None:
            raise _unreadable(data, position, inner)
        last = found.lastindex
        start, end = found.span(_OPENER_AT if last == _OPENER_AT else _SCALAR_AT)
        value = Value(_KINDS[data[start]], start, end)
        if (keys := inner.keys) is not None:
            key = _unescaped(found[_KEY_AT]) if has_escapes else found[_KEY_AT]
            if key in keys:
                raise RecordFault("DUPLICATE_KEY", found.start(_KEY_AT) - 1)
            keys.add(key)
            if inner.members is not None:
                inner.members.append((key, value))
        elif inner.items is not None:
            inner.items.append(value)
        position = found.end()
        if last == _COMMA_AT:
            continue
        if last == _OPENER_AT:
            if len(outer) == max_depth:
                raise RecordFault("TOO_DEEP", start)
            outer.append(inner)
            inner = _opened(value, len(outer) < keep_below)
            if data[position : position + 1] != inner.closer:
                continue
        closed = _close(data, position, inner, outer)
        if closed is None:
            return
        position, inner = closed


def _opened(value: Value, kept: bool) -> _Open:
    if value.kind == "object":
        value.members = [] if kept else None
        return _Open(value, _MEMBER, b"}", has_keys=True)
    value.items = [] if kept else None
    return _Open(value, _ITEM if kept else _UNKEPT_ITEM, b"]", has_keys=False)


def _close(data: bytes, position: int, inner: _Open, outer: list[_Open]) -> tuple[int, _Open] | None:
    """Close all containers that end here; where to read on and in which, or None at the end of the record."""
    while True:
        byte = data[position : position + 1]
        if byte == b"," and outer:
            return position + 1, inner
        if byte != inner.closer:
            raise RecordFault("NOT_JSON", position)
        if not outer:
            return None
        inner.value.end = position + 1
        inner = outer.pop()
        position = _after_spaces(data, position + 1)


def _unescaped(key: bytes) -> bytes:
    return unescape(b'"%b"' % key).encode() if b"\\" in key else key


def _after_spaces(data: bytes, position: int) -> int:
    found = _SPACE.match(data, position)
    return found.end() if found else position


def _unreadable(data: bytes, position: int, inner: _Open) -> RecordFault:
    """The fault of an item or member that the pattern could not read: where exactly, and whether a key's."""
    before = (_ITEMS_BEFORE if inner.keys is None else _KEY_BEFORE).match(data, position)
    if before is None:
        return RecordFault("NOT_JSON", position)
    if inner.keys is not None and before[_KEY_AT] is not None and _unescaped(before[_KEY_AT]) in inner.keys:
        return RecordFault("DUPLICATE_KEY", before.start(_KEY_AT) - 1)
    return RecordFault("NOT_JSON", before.end())
