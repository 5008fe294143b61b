from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.consent_files import CONSENT_RECORDS, append_lines, consent_files, read_lines, records_table
from schemas.consent_signing import sign_record, verify_records
from schemas.errors import InfrastructureFault
from schemas.tables import fact
from tests.unit.schemas.consent_samples import CANARY, KEY, KEYS, RECORD, record

TOKENS = [sign_record(record(record_id=f"r-{number}"), KEY, "k1") for number in range(3)]


def test_every_column_says_what_it_is() -> None:
    for field in CONSENT_RECORDS:
        assert fact(field, "description")
        assert fact(field, "classification")
        assert bool(fact(field, "unit")) == pa.types.is_timestamp(field.type)


def test_parquet_gives_back_the_records_that_were_signed(tmp_path: Path) -> None:
    table = records_table(verify_records(TOKENS, KEYS).records)
    pq.write_table(table, tmp_path / "records.parquet")
    lines = list(read_lines(tmp_path / "records.parquet"))
    assert [line.decode() for line in lines] == TOKENS
    assert verify_records(lines, KEYS).untrusted == 0


def test_the_columns_repeat_the_record() -> None:
    (row,) = records_table(verify_records(TOKENS[:1], KEYS).records).to_pylist()
    assert (row["id"], row["status"], row["subject_value"]) == ("r-0", "given", CANARY)
    assert row["event_time"].isoformat() == "2026-03-02T09:58:00+00:00"
    assert (row["purposes"], row["bundled"]) == (["ai_training"], False)


def test_a_column_that_was_changed_changes_nothing(tmp_path: Path) -> None:
    table = records_table(verify_records(TOKENS[:1], KEYS).records)
    place = table.schema.get_field_index("status")
    changed = table.set_column(place, table.schema.field("status"), pa.array(["renewed"]))
    pq.write_table(changed, tmp_path / "records.parquet")
    found = verify_records(read_lines(tmp_path / "records.parquet"), KEYS)
    assert found.records[0].row["status"] == "given"


@given(st.sampled_from(["event", "x-meeting", "processing"]), st.recursive(st.none() | st.text(), st.lists))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_signed_record_has_a_row(part: str, value: object) -> None:
    inner = dict.fromkeys(RECORD[part], value)
    token = sign_record({**RECORD, part: inner}, KEY, "k1")
    assert records_table(verify_records([token], KEYS).records).num_rows == 1


def test_a_missing_record_counts_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    schema = pa.schema([("jws", pa.string())])
    pq.write_table(pa.table({"jws": [TOKENS[0], None]}, schema=schema), tmp_path / "r.parquet")
    found = verify_records(read_lines(tmp_path / "r.parquet"), KEYS).records
    assert [each.fault for each in found] == [None, "NOT_A_JWS"]


def test_appending_makes_lines_and_never_glues_them(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    append_lines(file, TOKENS[:1])
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    append_lines(file, TOKENS[1:])
    assert [json.loads(line) for line in file.read_text().splitlines()] == TOKENS
    assert verify_records(read_lines(file), KEYS).untrusted == 0


def test_a_folder_gives_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.jsonl", "a.parquet", "b/c.jsonl", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [file.name for file in consent_files(tmp_path)] == ["a.parquet", "c.jsonl", "z.jsonl"]
    assert consent_files(tmp_path / "z.jsonl") == [tmp_path / "z.jsonl"]


@pytest.mark.parametrize(
    "name", ["more.json", "more.jsonl.gz", "MORE.JSONL", "more", "b/more.csv", "b/more.jsonl.part"]
)
def test_a_no_that_nobody_would_read_is_a_fault(tmp_path: Path, name: str) -> None:
    append_lines(tmp_path / "a.jsonl", TOKENS[:1])
    (tmp_path / "b").mkdir()
    (tmp_path / name).write_text(TOKENS[1])
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        consent_files(tmp_path)
    assert consent_files(tmp_path / name) == [tmp_path / name]


def test_a_folder_behind_a_link_is_a_fault_and_a_file_behind_one_is_read(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    append_lines(there / "a.jsonl", TOKENS[:1])
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "b.jsonl").symlink_to(there / "a.jsonl")
    assert consent_files(tmp_path / "here") == [tmp_path / "here" / "b.jsonl"]
    (tmp_path / "here" / "c").symlink_to(there)
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        consent_files(tmp_path / "here")


def test_notes_and_hidden_files_beside_records_are_none(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in ("a.jsonl", "README.md", "notes.txt", ".DS_Store", ".git/config"):
        (tmp_path / name).write_text("")
    assert [file.name for file in consent_files(tmp_path)] == ["a.jsonl"]


@pytest.mark.parametrize("content", [b"", b"PAR1 damaged"])
def test_a_damaged_file_is_a_fault_without_its_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.parquet").write_bytes(content)
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE") as caught:
        list(read_lines(tmp_path / "r.parquet"))
    assert caught.value.__cause__ is None


def test_nothing_where_records_should_be_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.jsonl"):
        with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
            consent_files(path)
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNWRITABLE"):
        append_lines(tmp_path / "no" / "folder.jsonl", TOKENS)
