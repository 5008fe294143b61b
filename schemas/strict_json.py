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
_VALUE = rb"(?P<value>" + _SCALAR + rb"|[{\[])" + _SPACES
_KEY = rb"(?P<key>" + _STRING + rb")" + _SPACES
_COLON = rb":" + _SPACES
_SCALAR_ITEMS = rb"(?:" + _SPACES + _SCALAR + _SPACES + rb",)*+" + _SPACES

_ITEM: Final = re.compile(_SPACES + _VALUE)
_MEMBER: Final = re.compile(_SPACES + _KEY + _COLON + _VALUE)
# Items that nobody keeps need no step of their own: whole runs of scalars are read at once.
_UNKEPT_ITEM: Final = re.compile(_SCALAR_ITEMS + _VALUE)
# What could be read of an item or member that does not match.
_ITEMS_BEFORE: Final = re.compile(_SCALAR_ITEMS)
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


@dataclass(slots=True)
class _Open:
    """A container whose end has not been read; the record itself is one that ends with the data."""

    value: Value
    pattern: re.Pattern[bytes]
    closer: bytes
    keys: set[bytes] | None = None


def parse_strict(data: bytes, *, max_depth: int = 32, keep_below: int | None = None) -> Value:
    """Read a record that must be exactly one JSON value, with nothing but JSON's white space around it.

    Args:
        data: The record.
        max_depth: Deepest nesting of objects and arrays that is taken; the outermost one has depth 1.
        keep_below: Containers keep their members and items only at depths below this; the rest is checked
            just the same. None keeps everything: about 80 bytes of memory for each value.

    Raises:
        RecordFault: The record is not valid UTF-8, not one JSON value, too deep, or names a key twice.
    """
    _require_utf8(data)
    record = _Open(Value("array", 0, len(data), items=[]), _ITEM, b"")
    _scan(data, record, max_depth, max_depth + 1 if keep_below is None else keep_below)
    return (record.value.items or [])[0]


def check_containers(data: bytes, *, max_depth: int = 32) -> None:
    """Check one JSON value as `parse_strict` does, and keep nothing of it.

    Args:
        data: The value's bytes.
        max_depth: Deepest nesting that is taken inside this value; its own container has depth 1.

    Raises:
        RecordFault: As for `parse_strict`.
    """
    _require_utf8(data)
    _scan(data, _Open(Value("array", 0, len(data)), _ITEM, b""), max_depth, 0)


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


def _scan(data: bytes, inner: _Open, max_depth: int, keep_below: int) -> None:
    outer: list[_Open] = []
    position = 0
    while True:
        found = inner.pattern.match(data, position)
        if found is None:
            raise _unreadable(data, position, inner)
        start, end = found.span("value")
        position = found.end()
        value = Value(_KINDS[data[start]], start, end)
        if inner.keys is not None:
            _add_member(data, found, value, inner)
        elif inner.value.items is not None:
            inner.value.items.append(value)
        if value.kind == "object" or value.kind == "array":
            if len(outer) == max_depth:
                raise RecordFault("TOO_DEEP", start)
            outer.append(inner)
            inner = _opened(value, len(outer) < keep_below)
            if data[position : position + 1] != inner.closer:
                continue
        while (byte := data[position : position + 1]) != b"," or not outer:
            if byte != inner.closer:
                raise RecordFault("NOT_JSON", position)
            if not outer:
                return
            inner.value.end = position + 1
            position = _after_spaces(data, position + 1)
            inner = outer.pop()
        position += 1


def _opened(value: Value, kept: bool) -> _Open:
    if value.kind == "object":
        value.members = [] if kept else None
        return _Open(value, _MEMBER, b"}", set())
    value.items = [] if kept else None
    return _Open(value, _ITEM if kept else _UNKEPT_ITEM, b"]")


def _add_member(data: bytes, found: re.Match[bytes], value: Value, inner: _Open) -> None:
    keys, members = inner.keys, inner.value.members
    key = _key(found)
    if keys is None or key in keys:
        raise RecordFault("DUPLICATE_KEY", found.start("key"))
    keys.add(key)
    if members is not None:
        members.append((key, value))


def _key(found: re.Match[bytes]) -> bytes:
    quoted = found["key"]
    return unescape(quoted).encode() if b"\\" in quoted else quoted[1:-1]


def _after_spaces(data: bytes, position: int) -> int:
    found = _SPACE.match(data, position)
    return found.end() if found else position


def _unreadable(data: bytes, position: int, inner: _Open) -> RecordFault:
    """The fault of an item or member that the pattern could not read: where exactly, and whether a key's."""
    before = (_ITEMS_BEFORE if inner.keys is None else _KEY_BEFORE).match(data, position)
    if before is None:
        return RecordFault("NOT_JSON", position)
    if inner.keys is not None and before["key"] is not None and _key(before) in inner.keys:
        return RecordFault("DUPLICATE_KEY", before.start("key"))
    return RecordFault("NOT_JSON", before.end())
