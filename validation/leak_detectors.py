"""Detectors of what must not be in telemetry: secrets, addresses, numbers, prose, and these encoded.

They are a control of their own: they know nothing of contracts, closed sets or classifications, and share no
code with what keeps content out. A hit is something to look at, not a proof; no hit is no proof either. What
they cannot see is in docs/validation.md.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import math
import re
import unicodedata
import urllib.parse
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

import zstandard

from validation.leak_checksums import NUMBERS, numbers_in

LONGEST: Final = 2048
"""Characters of a value that are looked at; telemetry has none that is nearly as long."""

_UNPACKED: Final = 1 << 13
_SHORTEST_TEXT: Final = 6

DEEPEST: Final = 3
"""Encodings inside each other that are taken off."""

_SECRETS: Final = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|gh[opsur]_[0-9A-Za-z]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{10,}|[rs]k_(?:live|test)_\w{16,}|sk-[\w-]{20,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}"
    r"|npm_\w{30,}|SG\.[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^/\s:@]{1,64}:[^/\s@]{1,64}@|\bBearer\s+\S{8,}"
    r"|(?i:\b(?:password|passwd|passcode|pwd|secret|api[_-]?key|token|zak|tk)\b[\"']?\s*[=:]\s*\S{3,})"
)
_EMAIL: Final = re.compile(
    r"[\w.%+-]{1,64}\s?(?:@|\(at\)|\[at\]|%40)\s?[\w-]{1,63}(?:\s?(?:\.|\(dot\)|\[dot\])\s?[\w-]{2,63}){1,5}",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(
    r"(?<![\w.])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){6,14}(?![\w.])"
    r"|(?<![\w.])\(?0?\d{2,4}\)?[ /-]\d{3,4}[ -]\d{3,5}(?![\w.])|(?<![\w.])0\d{2,4}[ /-]\d{5,9}(?![\w.])"
)
_LONG_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z.])\d{9,19}(?![0-9A-Za-z]|\.\d)")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_LONG_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{33,}|[0-9A-F]{32,})(?![0-9A-Za-z])")
_LEAST_BITS: Final = 4.0
_LETTERS: Final = r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"
_WORD: Final = re.compile(_LETTERS)
_RUN: Final = re.compile(rf"{_LETTERS}(?:[,;:.!?\"()]{{0,2}}\s[\s\"(]{{0,2}}{_LETTERS})+")
_JOINED: Final = re.compile(r"[^\W\d_]+(?:[._/:+-][^\W\d_]+){4,}")
_UNSPACED: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af\u0e00-\u0e7f\u1780-\u17ff\u1000-\u109f]{4,}"
)
_NAME: Final = re.compile(r"[^\W\d_][^\W\d_'\u2019.-]*(?:[ -][^\W\d_][^\W\d_'\u2019.-]*){1,3}")
_LEAST_WORDS: Final = 4
_LEAST_JOINED: Final = 3
"""Words of grammar that make prose of words without a space between them."""

_GRAMMAR: Final = """\
a an and are as at be but by do for from had has have he her his i if in is it me my no not of on or our
she so that the their them they this to was we were what when who will with would you your
aber auch auf aus das dass dem den der des die du ein eine er es für habe haben hat ich im ist mit
nicht sich sie sind und von war wir zu au avec ce dans de elle en est et il je la le les mais ne nous
ou par pas pour que qui sa se son sur un une vous al como con del el esta las lo los más muy para pero
por su yo che di è gli mi non per sono com e em na não o os um uma
"""
_FUNCTION_WORDS: Final = frozenset(_GRAMMAR.split())
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_BASE32: Final = re.compile(r"[A-Z2-7]{16,}={0,6}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_CODES: Final = re.compile(r"\d{2,3}(?:[ ,;.-]{1,2}\d{2,3}){7,}")
_MAGIC: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_LOOKALIKES: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u04bb\u0501\u051b"
    "\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425",
    "aeopcyxisjhdqwABEKMHOPCTYX",
)

DETECTORS: Final = (
    "secret",
    "random",
    "email",
    "phone",
    "number",
    *NUMBERS,
    "prose",
    "name",
    "hidden",
    "long",
    "encoded",
    "compressed",
)
"""Everything that a value can be told to be."""


@lru_cache(maxsize=1 << 16)
def detect(text: str) -> frozenset[str]:
    """The detectors that a value is a hit of; what it encodes counts too.

    >>> sorted(detect("ada@example.com")), sorted(detect("5.17.1 (1234)"))
    (['email'], [])
    """
    found = _found(text[:LONGEST], DEEPEST)
    return frozenset(found if len(text) <= LONGEST else {*found, "long"})


def _found(text: str, depth: int) -> set[str]:
    found: set[str] = set()
    seen = _INVISIBLE.sub("", text)
    if seen != text:
        found.add("hidden")
    seen = unicodedata.normalize("NFKC", seen)
    latin = seen.translate(_LOOKALIKES)
    for spelling in {seen, latin}:
        found |= _plain(spelling)
    if depth:
        for decoded in _decoded(seen):
            found |= _inside(decoded, depth - 1)
    return found


def _plain(text: str) -> set[str]:
    """Detectors that hit a text as it stands."""
    found = numbers_in(text)
    undated = _DATE.sub(" ", text)
    checks = {
        "secret": _SECRETS.search(text),
        "email": _EMAIL.search(text),
        "phone": _PHONE.search(undated),
        "number": _LONG_NUMBER.search(text),
        "random": _is_random(text),
        "prose": _is_prose(text),
        "name": _is_name(text),
    }
    return found | {name for name, hit in checks.items() if hit}


def _is_random(text: str) -> bool:
    """Whether a run of signs is as mixed as a key is, and longer than a pseudonym."""
    if _LONG_HEX.search(text):
        return True
    for run in _RANDOM.findall(text):
        kinds = (any(map(test, run)) for test in (str.isupper, str.islower, str.isdigit))
        if sum(kinds) == 3 and _bits(run) >= _LEAST_BITS:
            return True
    return False


def _bits(run: str) -> float:
    """Entropy of a run's signs, in bits a sign."""
    counts = Counter(run).values()
    return -sum(count / len(run) * math.log2(count / len(run)) for count in counts)


def _is_prose(text: str) -> bool:
    """Whether words follow each other as they do in language."""
    if _UNSPACED.search(text):
        return True
    for run in _RUN.findall(text):
        words = [word.casefold() for word in _WORD.findall(run)]
        common = sum(word in _FUNCTION_WORDS for word in words)
        if len(words) >= _LEAST_WORDS or (len(words) >= _LEAST_WORDS - 1 and common):
            return True
    return any(
        sum(word.casefold() in _FUNCTION_WORDS for word in _WORD.findall(re.sub("[-_]", " ", run)))
        >= _LEAST_JOINED
        for run in _JOINED.findall(text)
    )


def _is_name(text: str) -> bool:
    """Whether a value is nothing but two to four words with capitals, as names are."""
    if not _NAME.fullmatch(text):
        return False
    words = re.split("[ -]", text)
    return " " in text and all(word[:1].isupper() and word[1:].islower() for word in words)


# --- encodings ---------------------------------------------------------------------------------------------


def _decoded(text: str) -> Iterator[bytes]:
    """What runs of a text stand for, if they are an encoding."""
    if "%" in text:
        yield (
            urllib.parse.unquote_to_bytes(text) if "%25" not in text else urllib.parse.unquote(text).encode()
        )
    for run in _HEX.findall(text):
        yield bytes.fromhex(run)
    for run in _CODES.findall(text):
        codes = [int(code) for code in re.findall(r"\d+", run)]
        if max(codes) < 256:
            yield bytes(codes)
    for run in _BASE32.findall(text):
        yield from _decoded_by(base64.b32decode, run.rstrip("="), 8)
    for run in _BASE64.findall(text):
        # A run may begin with signs that are not a part of it: each alignment is tried.
        plain = run.rstrip("=").translate(str.maketrans("-_", "+/"))
        for start in range(4):
            yield from _decoded_by(base64.b64decode, plain[start:], 4)


def _decoded_by(decode: Callable[[str], bytes], run: str, group: int) -> Iterator[bytes]:
    """The bytes of a run, without its last sign if that cannot be a part of it."""
    whole = run[:-1] if len(run) % group == 1 else run
    with suppress(binascii.Error, ValueError):
        yield decode(_padded(whole, group))


def _padded(run: str, group: int) -> str:
    return run + "=" * (-len(run) % group)


def _inside(content: bytes, depth: int) -> set[str]:
    """What bytes that were decoded hold: a compressed stream, or text that has hits of its own."""
    if content.startswith(_MAGIC):
        unpacked = _unpacked(content)
        if unpacked is not None:
            return {"compressed"} | (_inside(unpacked, depth) if depth else set())
    text = _as_text(content)
    if text is None:
        return set()
    return {"encoded"} | _found(text, depth)


def _as_text(content: bytes) -> str | None:
    """Bytes as text, if they are nothing else."""
    try:
        # A character that the limit cuts through does not make bytes of a text.
        text = content[:LONGEST].decode(errors="strict" if len(content) <= LONGEST else "ignore")
    except UnicodeDecodeError:
        return None
    letters = sum(sign.isalnum() or sign == " " for sign in text)
    is_text = len(text) >= _SHORTEST_TEXT and re.sub(r"[\r\n\t]", "", text).isprintable()
    return text if is_text and letters * 3 >= len(text) * 2 else None


def _unpacked(content: bytes) -> bytes | None:
    """The first bytes of a compressed stream, None if it is none."""
    for unpack in (_gunzip, _inflate, _unzstd, _bunzip):
        try:
            found = unpack(content)
        except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError):
            continue
        if found:
            return found
    return None


def _gunzip(content: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(content, _UNPACKED) if content[:2] == _MAGIC[0] else b""


def _inflate(content: bytes) -> bytes:
    return zlib.decompressobj().decompress(content, _UNPACKED)


def _unzstd(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(content) as stream:
        return stream.read(_UNPACKED)


def _bunzip(content: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(content, _UNPACKED)


__all__ = ["DETECTORS", "detect"]
