"""Consent records in files: JSON lines of compact JWS, or Parquet with the JWS and columns to query by.

In the Parquet form the column ``jws`` is the record. The other columns repeat what it says, for whoever wants
to query the file; nothing reads them back, so changing one changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.consent_rows import read_time
from schemas.consent_signing import VerifiedRecord
from schemas.errors import InfrastructureFault
from schemas.places import Place, PlaceWithListing
from schemas.tables import DISTINCT, column

_MICROSECONDS: Final = pa.timestamp("us", tz="UTC")
_TIME_UNIT: Final = "µs since 1970 UTC"

_RECORDS: Final = (".jsonl", ".parquet")
_NOTES: Final = (".txt", ".md")
"""What may lie beside records; anything else there could be somebody's no that nobody reads."""


def _words(name: str, description: str) -> pa.Field:
    return column(name, pa.list_(pa.field("element", pa.string())), description)


def _word(name: str, description: str) -> pa.Field:
    return column(name, pa.string(), description)


def _time(name: str, description: str) -> pa.Field:
    return column(name, _MICROSECONDS, description, unit=_TIME_UNIT)


def _flag(name: str, description: str) -> pa.Field:
    return column(name, pa.bool_(), description)


CONSENT_RECORDS: Final = pa.schema(
    [
        column(
            "jws",
            pa.string(),
            "The signed record: compact JWS over its canonical JSON; the only column that is read back",
            classification="identifier.direct",
            storage=DISTINCT,
            nullable=False,
        ),
        column("id", pa.string(), "Record id", storage=DISTINCT),
        _word("subject_type", "Identifier type of the person, such as zoom.user_id"),
        column(
            "subject_value",
            pa.string(),
            "Identifier of the person, as the record states it",
            classification="identifier.direct",
            storage=DISTINCT,
        ),
        _word("status", "What happened (closed set)"),
        _time("event_time", "When it happened"),
        _time("ingested_at", "When the record arrived"),
        _word("controller", "Party id of the controller"),
        _words("purposes", "Purposes that it is about"),
        _words("kinds", "Kinds of content that it is about"),
        column(
            "scope",
            pa.string(),
            "Where it applies: global, tenant:ID or meeting:ID",
            classification="identifier.direct",
            storage=DISTINCT,
        ),
        _words("recipients", "Who may receive"),
        _word("grantor", "Who expressed the choice (closed set)"),
        _word("mechanism", "How it was expressed (closed set)"),
        _word("terms", "Version of the terms that it cites"),
        _word("notice_hash", "SHA-256 of the notice that was shown"),
        _time("valid_from", "From when it holds"),
        _time("valid_until", "Until when it holds"),
        _flag("bundled", "One yes for several things"),
        _flag("conditional", "The service was refused without it"),
        _flag("retroactive", "It covers what was recorded before"),
        _flag("separate", "Asked apart from everything else"),
        _flag("no_detriment", "The employer attests that a no has no ill effect"),
        _word("retention_policy", "Retention policy for biometric templates"),
        _word("kid", "Id of the signing key"),
        _flag("import_attested", "Whether its import from another system is attested"),
    ]
)
"""The Parquet form of consent records."""


def records_table(records: Iterable[VerifiedRecord]) -> pa.Table:
    """The Parquet form of those records that are a JWS; the others have no signed form to keep."""
    rows = [_flat_columns(record) for record in records if record.jws is not None]
    return pa.Table.from_pylist(rows, schema=CONSENT_RECORDS)


def _flat_columns(record: VerifiedRecord) -> dict[str, Any]:
    subject = record.subject
    given = {
        **record.row,
        "jws": record.jws,
        "subject_type": None if subject is None else subject.type,
        "subject_value": None if subject is None else str(subject.value),
    }
    return {field.name: _cell(given.get(field.name), field.type) for field in CONSENT_RECORDS}


def _cell(value: object, wanted: pa.DataType) -> object:
    """A value where it has the column's type; what a malformed record says besides is in its JWS."""
    if pa.types.is_timestamp(wanted):
        return read_time(value)
    if pa.types.is_list(wanted):
        return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None
    return value if isinstance(value, bool if pa.types.is_boolean(wanted) else str) else None


def consent_files(path: Place) -> list[Place]:
    """The files of records at a place: the file itself, or every ``.jsonl`` and ``.parquet`` below a folder.

    Raises:
        InfrastructureFault: ``CONSENTS_UNREADABLE``: there is none, or something in the folder is not read
            and may hold a no.
    """
    found: list[Place]
    if isinstance(path, Path):
        found = [path] if path.is_file() else [*sorted(_records_below(path))]
    else:
        found = _records_listed(cast(PlaceWithListing, path))
    if not found:
        raise _unreadable(f"no records at {path}; name a .jsonl or .parquet file, or a folder of such")
    return found


def _records_listed(place: PlaceWithListing) -> list[Place]:
    listed = sorted(place.files_below(), key=lambda entry: entry[0])
    if place.is_file():
        if listed:  # no folder is both; of two things by one name, either could hold a no
            raise _unreadable(f"{place} is a file, and a folder of files, too; move one of them away")
        return [place]
    return [file for below, file in listed if _is_records(file, below)]


def _records_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        if any((Path(parent) / name).is_symlink() for name in folders):
            raise _unreadable(f"a link in {parent} leads to another folder; name that folder itself, too")
        for file in (Path(parent) / name for name in names):
            if _is_records(file, file.relative_to(folder).as_posix()):
                yield file


def _is_records(file: Place, below: str) -> bool:
    """Whether a file is one of records; what is neither that nor a note nor hidden is refused."""
    if file.suffix in _RECORDS:
        return True
    if file.suffix not in _NOTES and not any(part.startswith(".") for part in below.split("/")):
        message = f"{file} may hold records and is neither .jsonl nor .parquet; convert or remove it"
        raise _unreadable(message)
    return False


def _refuse_folder(error: OSError) -> None:
    raise _unreadable(f"no records at {error.filename}; check the path and its permissions") from None


def _unreadable(message: str) -> InfrastructureFault:
    return InfrastructureFault("CONSENTS_UNREADABLE", message)


def read_lines(path: Place) -> Iterator[bytes]:
    """The records of one file, one a line; blank lines come too, so that line numbers count right.

    Raises:
        InfrastructureFault: ``CONSENTS_UNREADABLE``; in the middle of a damaged file, too.
    """
    try:
        if path.suffix == ".parquet":
            yield from _parquet_lines(path)
            return
        with path.open("rb") as file:
            yield from (line.rstrip(b"\n") for line in file)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        message = f"{path} cannot be read; check its permissions and that it was copied whole"
        raise _unreadable(message) from None


def _parquet_lines(path: Place) -> Iterator[bytes]:
    with path.open("rb") as content, pq.ParquetFile(content) as file:
        if "jws" not in file.schema_arrow.names:
            raise ValueError("no records in this file")
        for batch in file.iter_batches(columns=["jws"]):
            # A null where a record should be stays a line, so that it counts as one that cannot be read.
            yield from ((token or "null").encode() for token in batch.column("jws").to_pylist())


def append_lines(path: Path, tokens: Iterable[str]) -> None:
    """Append signed records to a file of JSON lines in one write.

    Raises:
        InfrastructureFault: ``CONSENTS_UNWRITABLE``.
    """
    text = "".join(json.dumps(token) + "\n" for token in tokens)
    try:
        with path.open("ab") as file:
            file.write(_line_end(path) + text.encode())
    except OSError:
        message = f"{path} cannot be written; check that its folder exists and its permissions"
        raise InfrastructureFault("CONSENTS_UNWRITABLE", message) from None


def _line_end(path: Path) -> bytes:
    """What is missing behind the last line: a record must not be glued to one that was cut off."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return b""
        file.seek(-1, 2)
        return b"" if file.read(1) == b"\n" else b"\n"
