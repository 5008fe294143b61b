"""Search for canaries: tokens that were put into events and must be nowhere but in what is sealed.

All tokens begin with one stem, so that one search finds every token and every piece of one that is long
enough to be told apart: plain in any case, as hexadecimal digits, in base64 at each of the three alignments,
in UTF-16, and each of these reversed. Numbers begin with the same digits, and are searched for as text and as
the bytes of integers and floating-point numbers too.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

STEM = "qvxkzjwp"
NUMBER_STEM = "73914286"
_NUMBERS = range(int(NUMBER_STEM + "00000"), int(NUMBER_STEM + "99999") + 1)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

TEXT_TOKENS = re.compile(STEM.encode() + rb"[a-z]{4}")
NUMBER_TOKENS = re.compile(NUMBER_STEM.encode() + rb"[0-9]{5}")


class Canaries:
    """Makes tokens, each of them once."""

    def __init__(self) -> None:
        self._texts = count()
        self._numbers = count()

    def word(self) -> str:
        """Twelve small letters: what gets through the laxest pattern for a name."""
        number = next(self._texts)
        return STEM + "".join(_LETTERS[number // 26**place % 26] for place in range(4))

    def number(self) -> int:
        """Thirteen digits, as many as a phone number with its country may have."""
        return _NUMBERS[next(self._numbers)]


def forms_of(text: str) -> dict[str, bytes]:
    """The ways in which a text may be written; all in small letters but for base64, where case tells."""
    forms: dict[str, bytes] = {}
    for name, spelling in (("", text.lower()), ("upper ", text.upper()), ("title ", text.title())):
        raw = spelling.encode()
        forms |= {f"{name}base64 at {at}": form for at, form in enumerate(_base64_forms(raw))}
        turned = raw[::-1]
        forms |= {
            f"{name}base64 of the reverse at {at}": form for at, form in enumerate(_base64_forms(turned))
        }
    raw = text.lower().encode()
    forms |= {"plain": raw, "hex": raw.hex().encode(), "upper hex": text.upper().encode().hex().encode()}
    forms["utf-16"] = text.lower().encode("utf-16-le")
    return forms | {f"reversed {name}": form[::-1] for name, form in forms.items()}


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """What is always there of the base64 of a text that holds these bytes, at each alignment."""
    for at in range(3):
        whole = base64.b64encode(b"\0" * at + raw)
        sure_from, sure_upto = (at * 8 + 5) // 6, (at + len(raw)) * 8 // 6
        yield whole[sure_from:sure_upto]


def _number_forms() -> dict[str, bytes]:
    """The bytes that all number tokens have in common as 64-bit integers and as floating-point numbers."""
    forms = {}
    for name, code in (("int64", "q"), ("double", "d")):
        first, last = (struct.pack(f">{code}", bound) for bound in (_NUMBERS[0], _NUMBERS[-1]))
        same = next(at for at in range(8) if first[at] != last[at])
        forms[f"{name} big-endian"] = first[:same]
        forms[f"{name} little-endian"] = first[:same][::-1]
    return forms


def _of_both_stems(base64_ones: bool) -> dict[str, bytes]:
    return {
        f"{stem} {name}": form
        for stem in (STEM, NUMBER_STEM)
        for name, form in forms_of(stem).items()
        if ("base64" in name) is base64_ones
    }


_CASELESS, _EXACT = _of_both_stems(False), _of_both_stems(True) | _number_forms()


def leaks(places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Where a token was found, and in which form; empty where none was."""
    found = []
    for place, content in places:
        small = content.lower()
        found += [f"{place}: {name}" for name, form in _CASELESS.items() if form in small]
        found += [f"{place}: {name}" for name, form in _EXACT.items() if form in content]
    return found


def everything_written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte below a folder: names of files, the files as they are, and each Parquet column decoded."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        yield f"the name of {name}", name.encode()
        if not path.is_file():
            continue
        yield name, path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
            yield f"schema of {name}", str(table.schema).encode()
            for column in table.column_names:
                yield f"{column} of {name}", b"\n".join(_bytes_of(table.column(column).to_pylist()))


def _bytes_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _bytes_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from _bytes_of(member)
    elif value is not None:
        yield str(value).encode()


def tokens_in(content: bytes) -> set[bytes]:
    """The tokens that stand in some bytes, as they are."""
    return {*TEXT_TOKENS.findall(content), *NUMBER_TOKENS.findall(content)}
