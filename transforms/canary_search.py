"""Search for canaries: tokens that were put into events and must be nowhere but in what is sealed.

All tokens of a run begin with one stem, so that one search finds every token and every piece of one that is
long enough to be told apart: plain in any case, as hexadecimal digits, in base64 at each of the three
alignments, in UTF-16, and each of these reversed. Numbers begin with the same digits, and are searched for as
text and as integers and floating-point numbers too. A find names the place and the form, never the token.
"""

from __future__ import annotations

import base64
import re
import secrets
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_WORD_TAIL: Final = 4
_BATCH_ROWS: Final = 1 << 16
_PIECE_BYTES: Final = 16 << 20

Place = tuple[str, bytes]
"""Where some bytes stand, and the bytes."""


@dataclass(frozen=True)
class Stem:
    """What all tokens of a run begin with.

    Attributes:
        word: Small letters; text tokens are the word and four letters more.
        digits: Decimal digits; number tokens are these and more.
        tail: How many digits more.
    """

    word: str
    digits: str
    tail: int = 4

    @classmethod
    def fresh(cls) -> Stem:
        """A stem that no run had before: long enough to stand nowhere by chance."""
        word = "".join(secrets.choice(_LETTERS) for _ in range(14))
        return cls(word, str(secrets.choice(range(10**10, 9 * 10**10))))

    @cached_property
    def numbers(self) -> range:
        """All number tokens; each fits into a double without loss."""
        scale = 10**self.tail
        return range(int(self.digits) * scale, (int(self.digits) + 1) * scale)

    @cached_property
    def caseless(self) -> dict[str, bytes]:
        """Ways of writing a token in which case does not tell, in small letters."""
        return self._forms(is_base64=False)

    @cached_property
    def exact(self) -> dict[str, bytes]:
        """Ways of writing a token in which case tells."""
        return self._forms(is_base64=True)

    @cached_property
    def binary(self) -> dict[str, bytes]:
        """The bytes that all number tokens have in common, as 64-bit integers and as doubles."""
        forms = {}
        for name, code in (("int64", "q"), ("double", "d")):
            first, last = (struct.pack(f">{code}", number) for number in (self.numbers[0], self.numbers[-1]))
            same = next(at for at in range(8) if first[at] != last[at])
            forms[f"number as {name}"] = first[:same]
            forms[f"number as {name}, little-endian"] = first[:same][::-1]
        return forms

    def _forms(self, *, is_base64: bool) -> dict[str, bytes]:
        return {
            f"{what} {name}": form
            for what, text in (("word", self.word), ("number", self.digits))
            for name, form in forms_of(text).items()
            if ("base64" in name) is is_base64
        }

    def tokens_in(self, content: bytes) -> set[bytes]:
        """The tokens that stand in some bytes, as they are."""
        words = rf"{self.word}[a-z]{{{_WORD_TAIL}}}".encode()
        numbers = rf"{self.digits}[0-9]{{{self.tail}}}".encode()
        return {*re.findall(words, content), *re.findall(numbers, content)}


class Canaries:
    """Makes tokens of a stem, each of them once."""

    def __init__(self, stem: Stem) -> None:
        self._stem = stem
        self._texts = count()
        self._numbers = count()

    def word(self) -> str:
        """Small letters only: what gets through the laxest pattern for a name."""
        number = next(self._texts)
        return self._stem.word + "".join(_LETTERS[number // 26**place % 26] for place in range(_WORD_TAIL))

    def number(self) -> int:
        """As many digits as a phone number with its country may have, and more."""
        return self._stem.numbers[next(self._numbers) % len(self._stem.numbers)]


@lru_cache(maxsize=64)
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


# --- searching ---------------------------------------------------------------------------------------------


def leaks(stem: Stem, places: Iterable[Place]) -> Iterator[str]:
    """Where a token was found, and in which form; nothing where none was."""
    for place, content in places:
        small = content.lower()
        yield from (f"{place}: {name}" for name, form in stem.caseless.items() if form in small)
        yield from (f"{place}: {name}" for name, form in stem.exact.items() if form in content)


def file_leaks(stem: Stem, name: str, file: Path) -> Iterator[str]:
    """Where a token was found in a file: in its name, in its bytes, in the columns of a table.

    Args:
        stem: The tokens' stem.
        name: What the file is called.
        file: Where it lies.
    """
    yield from leaks(stem, [(f"the name of {name}", name.encode())])
    overlap = max(len(form) for form in (*stem.caseless.values(), *stem.exact.values()))
    kept = b""
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            piece = kept + piece
            yield from leaks(stem, [(name, piece)])
            yield from (f"{name}: {form}" for form, raw in stem.binary.items() if raw in piece)
            kept = piece[-overlap:]
    if file.suffix == ".parquet":
        yield from _table_leaks(stem, name, file)


def _table_leaks(stem: Stem, name: str, file: Path) -> Iterator[str]:
    with pq.ParquetFile(file) as opened:
        schema = opened.schema_arrow
        yield from leaks(stem, [(f"schema of {name}", str(schema).encode())])
        yield from _footer_leaks(stem, f"statistics of {name}", opened.metadata)
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetFile(file, read_dictionary=texts) as opened:
        for batch in opened.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for column, values in zip(batch.schema.names, batch.columns, strict=True):
                yield from _column_leaks(stem, f"{column} of {name}", values)


def _footer_leaks(stem: Stem, place: str, metadata: Any) -> Iterator[str]:
    """The lowest and highest value of each column stand beside it, in the clear and as they are."""
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                ends = pa.array([str(statistics.min), str(statistics.max)])
                yield from _column_leaks(stem, place, ends)


def _column_leaks(stem: Stem, place: str, values: Any) -> Iterator[str]:
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary
    if pa.types.is_struct(values.type):
        for at in range(values.type.num_fields):
            yield from _column_leaks(stem, place, values.field(at))
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        yield from _column_leaks(stem, place, values.flatten())
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64(), safe=False)
        low, high = float(stem.numbers[0]), float(stem.numbers[-1])
        if pc.any(pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))).as_py():
            yield f"{place}: number"
    elif not pa.types.is_boolean(values.type) and not pa.types.is_null(values.type):
        yield from leaks(stem, [(place, _joined(values))])


def _joined(values: Any) -> bytes:
    """Values as bytes, one a line."""
    kind = values.type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_bytes = (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )
    plain = values.drop_null()
    if not is_bytes:
        plain = plain if texts else plain.cast(pa.string())
        plain = plain.cast(pa.large_string()).cast(pa.large_binary())
    return b"\n".join(plain.to_pylist())


def everything_written(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder with its name; folders' names are parts of it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path


def folder_leaks(stem: Stem, folder: Path) -> list[str]:
    """Where a token was found in anything below a folder."""
    return [found for name, path in everything_written(folder) for found in file_leaks(stem, name, path)]
