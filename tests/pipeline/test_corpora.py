"""Public corpora through the whole pipeline: JSON parser tests, naughty strings, real event samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.support import (
    Ledger,
    ingest,
    lines_file,
    opened,
    reasons,
    rejects_of,
)
from transforms.store import Store

WHITESPACE = b" \t\n\r"
SAMPLES = ("zoom_webhooks", "zoom_rtms_and_plugin")


# --- JSON parser tests --------------------------------------------------------------------------------------


def parser_tests(shared_folder: Path) -> list[Path]:
    return sorted((shared_folder / "corpora" / "json_parsing").iterdir())


def one_record_per_line(path: Path) -> bytes:
    """A test of the corpus as one record: line breaks between tokens do not change what it tests."""
    return path.read_bytes().replace(b"\n", b" ").replace(b"\r", b" ")


def is_one_line(path: Path) -> bool:
    """Whether a file is a test that stays the same test when its line breaks become spaces."""
    blank = not one_record_per_line(path).strip(WHITESPACE)
    return path.suffix == ".json" and not blank and path.name != "n_string_unescaped_newline.json"


@pytest.fixture(scope="module")
def parsed(
    shared_folder: Path, tmp_path_factory: pytest.TempPathFactory, keys: Path
) -> tuple[Ledger, Path, list[Path]]:
    """The corpus file by file, in one run; its files are numbered in the order of their names."""
    store = tmp_path_factory.mktemp("parsed") / "S"
    files = parser_tests(shared_folder)
    assert len(files) > 300
    return ingest(shared_folder / "corpora" / "json_parsing", store, keys), store, files


def test_every_file_that_is_no_json_is_a_sealed_reject(
    parsed: tuple[Ledger, Path, list[Path]], keys: Path
) -> None:
    _, store, files = parsed
    rejects = rejects_of(store, keys)
    held, sealed = {reject.file for reject in rejects}, {reject.raw for reject in rejects}
    missing = [
        file.name
        for number, file in enumerate(files)
        if file.name.startswith("n_")
        and number not in held
        and only_record(file) not in sealed  # the same record stands in an earlier file
        and file.read_bytes().strip(WHITESPACE)  # a file of nothing holds no record
    ]
    assert missing == []


def only_record(file: Path) -> bytes:
    """What stands between the brackets of a file that is an array of one element, or the whole file."""
    content = file.read_bytes().strip(WHITESPACE)
    if content.startswith(b"[") and content.endswith(b"]"):
        return content[1:-1].strip(WHITESPACE)
    return content


def test_nothing_of_the_corpus_becomes_telemetry(parsed: tuple[Ledger, Path, list[Path]]) -> None:
    ledger, store, _ = parsed
    assert [name for name in Store.open(store).tables() if name.startswith("telemetry/")] == []
    assert set(ledger["outcomes"]) == {"rejected", "unknown", "duplicate"}


def test_files_without_a_record_hold_none(parsed: tuple[Ledger, Path, list[Path]], keys: Path) -> None:
    _, store, files = parsed
    blank = {number for number, file in enumerate(files) if not file.read_bytes().strip(WHITESPACE)}
    assert blank
    assert not blank & {reject.file for reject in rejects_of(store, keys)}


def test_each_parser_test_as_one_line_is_refused_if_it_is_no_json_and_none_is_lost(
    shared_folder: Path, tmp_path: Path, keys: Path
) -> None:
    files = [path for path in parser_tests(shared_folder) if is_one_line(path)]
    lines = [one_record_per_line(path) for path in files]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", [b'{"a line":"first"}', *lines]), tmp_path / "S", keys)
    assert ledger["records"] == len(lines) + 1
    held = {reject.raw: reject.reason for reject in rejects_of(tmp_path / "S", keys)}
    not_json = {"NOT_JSON", "INVALID_UTF8", "TOO_DEEP", "BYTE_ORDER_MARK"}
    wrong = []
    for path, line in zip(files, lines, strict=True):
        reason = held[line.strip(WHITESPACE)]
        expected = {
            "n": reason in not_json,
            "y": reason in ("NOT_AN_EVENT", "UNKNOWN_TYPE", "DUPLICATE_KEY"),
            "i": True,
        }
        if not expected[path.name[0]]:
            wrong.append((path.name, reason))
    assert wrong == []


# --- naughty strings ----------------------------------------------------------------------------------------


def zoom_event(text: str, as_key: str | None = None) -> dict[str, Any]:
    participant: dict[str, Any] = {
        "user_id": "16778240",
        "user_name": text,
        "email": text,
        "id": text,
        "participant_user_id": text,
        "participant_uuid": text,
        "join_time": "2026-03-01T10:00:00Z",
    }
    meeting: dict[str, Any] = {"id": text, "uuid": text, "topic": text, "timezone": text, "host_id": text}
    for holder in (participant, meeting):
        if as_key is not None:
            holder[as_key] = text
    return {
        "event": "meeting.participant_joined",
        "event_ts": 1772359200000,
        "payload": {"account_id": text, "object": {**meeting, "participant": participant}},
    }


def cloud_event(number: int, text: str, as_key: str | None = None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "tenant_id": text,
        "meeting_id": text,
        "participant_id": text,
        "text": text,
        "language": text,
    }
    if as_key is not None:
        data[as_key] = text
    return {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "urn:example:platform",
        "type": "io.cofferdam.chat.message.sent.v1",
        "time": "2026-03-01T10:00:00Z",
        "data": data,
    }


def naughty_events(strings: list[str]) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(strings):
        yield zoom_event(text)
        yield cloud_event(2 * number, text)
        yield zoom_event(f"key {number}", as_key=text)
        yield cloud_event(2 * number + 1, f"key {number}", as_key=text)


def test_every_naughty_string_may_stand_in_every_field_as_value_and_as_key(
    shared_folder: Path, tmp_path: Path, keys: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    strings = json.loads((shared_folder / "corpora" / "blns.json").read_bytes())
    events = list(naughty_events(strings))
    ledger = ingest(lines_file(tmp_path / "in.jsonl", events), tmp_path / "S", keys)
    assert ledger["records"] == len(events) == 4 * len(strings)
    assert ledger["outcomes"].get("unknown", 0) == 0
    # A key that the event has already is a duplicate key, and the same text may be in the list twice.
    assert set(ledger["outcomes"]) <= {"separated", "duplicate", "rejected"}
    assert set(reasons(ledger)) <= {"DUPLICATE_KEY"}
    sealed = opened(tmp_path / "S", keys).everything()
    lost = [text for text in strings if text and json.dumps(text).encode() not in sealed]
    assert lost == []
    long = [text for text in strings if len(text) > 9]
    written = "\0".join(_texts(tmp_path / "S")) + "".join(capfd.readouterr())
    assert [text for text in long if text in written] == []


def _texts(store: Path) -> Iterator[str]:
    """Every string of every column outside the ciphertexts."""
    state = Store.open(store)
    for table in state.tables():
        yield from map(str, state.read_table(table).to_pylist())


# --- samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", SAMPLES)
def test_every_sample_is_accounted_for_and_no_known_type_is_unclassified(
    folder: str, shared_folder: Path, tmp_path: Path, keys: Path
) -> None:
    path = shared_folder / "sources" / "samples" / folder
    ledger = ingest(path, tmp_path / "S", keys)
    documents = [file.read_bytes() for file in sorted(path.glob("*.json"))]
    assert ledger["records"] >= len([one for one in documents if one.strip()])
    assert ledger["drift"] == []
    # Some samples were written by hand, with times of 2009 in seconds where the platform sends milliseconds.
    assert {row["field"].rpartition(".")[2] for row in ledger["misfits"]} <= {"timestamp", "event_ts"}
    assert ledger["items"].get("unclassified", 0) == sum(row["values"] for row in ledger["misfits"])
    broken = {number for number, one in enumerate(documents) if not _is_json(one)}
    assert broken <= {reject.file for reject in rejects_of(tmp_path / "S", keys)}
    assert ledger["outcomes"].get("separated", 0) >= len(documents) - len(broken) - 1


def _is_json(document: bytes) -> bool:
    try:
        json.loads(document)
    except ValueError:
        return False
    return True
