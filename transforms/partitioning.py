"""Which folder a row's file lies in: days inside the accepted window and values of closed sets only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import PromiseBroken

UNKNOWN_DATE = "date=unknown"
_EPOCH = date(1970, 1, 1)
_DAYS = 1 << 20  # more than there are days in the years that a date can name
_WORD = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Partitioning:
    """How a table's rows fall into folders.

    Attributes:
        closed: Columns whose value names a folder, each with its closed set of values.
        date_from: Timestamp or date column whose day (UTC) names the innermost folder.
        first_day: First day that may appear in a path; an earlier one becomes ``date=unknown``.
        last_day: Last day that may appear in a path.
    """

    closed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    date_from: str | None = None
    first_day: date = date(2000, 1, 1)
    last_day: date = date(2099, 12, 31)

    def __post_init__(self) -> None:
        if not all(_WORD.fullmatch(word) for values in self.closed.values() for word in values):
            raise ValueError("values of a closed set that names folders are of a-z, 0-9 and _")
        if self.first_day <= _EPOCH:
            raise ValueError("the first day of the window is after 1970-01-01")

    def split(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The rows of each folder, with the folder's path below the table's.

        Raises:
            PromiseBroken: A closed column holds a value outside its set (``STORE_PATH_VALUE``).
        """
        if not rows.num_rows:
            return
        code = self._code(rows)
        if (code == code[0]).all():
            yield self._folder(int(code[0])), rows
            return
        distinct, which = np.unique(code, return_inverse=True)
        for number, folder_code in enumerate(distinct):
            # A copy, not a slice: a slice that waits for its row group would keep all the rows in memory.
            yield self._folder(int(folder_code)), rows.take(np.flatnonzero(which == number))

    def _code(self, rows: pa.Table) -> np.ndarray:
        """One number a row that tells its folder: places in the closed sets, then the day."""
        code = np.zeros(rows.num_rows, np.int64)
        for name, values in self.closed.items():
            places = pc.index_in(rows.column(name), value_set=pa.array(values, pa.string()))
            if places.null_count:
                raise PromiseBroken("STORE_PATH_VALUE", f"column {name} holds a value outside its closed set")
            code = code * len(values) + places.to_numpy()
        return code * _DAYS + self._days(rows.column(self.date_from)) if self.date_from else code

    def _days(self, times: pa.ChunkedArray) -> np.ndarray:
        """Days since 1970, or 0 where there is none in the window."""
        first, last = ((day - _EPOCH).days for day in (self.first_day, self.last_day))
        dates = times if pa.types.is_date32(times.type) else pc.floor_temporal(times, unit="day")
        days = pc.fill_null(dates.cast(pa.date32()).cast(pa.int32()), 0).to_numpy()
        inside: np.ndarray = np.where((days >= first) & (days <= last), days, 0)
        return inside

    def _folder(self, code: int) -> str:
        parts: list[str] = []
        if self.date_from:
            code, day = divmod(code, _DAYS)
            parts.append(f"date={(_EPOCH + timedelta(day)).isoformat()}" if day else UNKNOWN_DATE)
        for name, values in reversed(list(self.closed.items())):
            code, place = divmod(code, len(values))
            parts.append(f"{name}={values[place]}")
        return "/".join(reversed(parts))
