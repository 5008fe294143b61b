"""Records and registries on Cloud Storage are read as from a folder, and refused for the same reasons."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")

from schemas.consent_files import consent_files, read_lines
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.places import size_of
from schemas.registry import load_registry
from schemas.registry_writing import write_starter
from tests.cloud_storage_stand_in import cloud_storage
from transforms.cloud_places import CloudPlace, place_at
from transforms.consent_intake import RecordRange, plan_records, read_range
from transforms.store_cloud import CloudFiles, connect

LINES = [b'"%0100d"' % number for number in range(500)]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFiles]:
    """An empty bucket."""
    with cloud_storage() as (address, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield CloudFiles("gs://bucket")


def bring(bucket: CloudFiles, folder: Path, below: str) -> None:
    """Bring a folder into a bucket."""
    for file in folder.rglob("*"):
        if file.is_file():
            bucket.create(f"{below}/{file.relative_to(folder).as_posix()}", file.read_bytes())


# --- addresses ----------------------------------------------------------------------------------------------


def test_a_path_stays_a_path_and_an_address_keeps_its_slashes() -> None:
    assert place_at("records/a.jsonl") == Path("records/a.jsonl")
    place = place_at("gs://bucket/records/a.jsonl")
    assert (str(place), place.name, place.suffix) == ("gs://bucket/records/a.jsonl", "a.jsonl", ".jsonl")
    assert str(place_at("gs://bucket/records/")) == "gs://bucket/records"
    assert str(place_at("gs://bucket/records") / "b.jsonl") == "gs://bucket/records/b.jsonl"
    assert place.absolute() == place


@pytest.mark.parametrize(
    "address",
    [
        "gs://bucket",
        "gs://",
        "gs://B/x",
        "gs://bucket//x",
        "gs://bucket/../x",
        "gs://bucket/x/.",
        "s3://bucket/x",
    ],
)
def test_what_names_no_place_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="PLACE_FILESYSTEM"):
        place_at(address)


# --- records ------------------------------------------------------------------------------------------------


def test_records_are_found_below_a_name_as_below_a_folder(bucket: CloudFiles, tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "more/c.parquet", "notes.md", ".hidden/x", "more/.seen"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    bring(bucket, tmp_path, "people/records")
    bucket.create("people/records-of-others/d.jsonl", b"")
    found = [
        str(file).removeprefix("gs://bucket/people/records/")
        for file in consent_files(place_at("gs://bucket/people/records"))
    ]
    assert found == [str(file.relative_to(tmp_path)) for file in map(Path, map(str, consent_files(tmp_path)))]
    assert found == ["a.jsonl", "b.jsonl", "more/c.parquet"]


def test_a_file_that_may_hold_a_no_is_refused(bucket: CloudFiles) -> None:
    bucket.create("records/a.jsonl", b"")
    bucket.create("records/withdrawals.csv", b"")
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        consent_files(place_at("gs://bucket/records"))


def test_a_name_that_is_a_file_and_a_folder_is_refused(bucket: CloudFiles) -> None:
    bucket.create("records", b"")
    assert consent_files(place_at("gs://bucket/records")) == [CloudPlace("gs://bucket/records")]
    bucket.create("records/a.jsonl", b"")
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        consent_files(place_at("gs://bucket/records"))


def test_nothing_there_is_no_set_of_records(bucket: CloudFiles) -> None:
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        plan_records(["gs://bucket/records"])


@pytest.mark.parametrize("range_bytes", [51, 103, 1 << 20])
def test_each_record_is_read_in_one_range(bucket: CloudFiles, range_bytes: int) -> None:
    lines = LINES[:20]
    bucket.create("records/a.jsonl", b"\n".join(lines) + b"\n")
    ranges = plan_records(["gs://bucket/records"], range_bytes)
    assert [line for part in ranges for line in read_range(part)] == lines


def test_records_in_parquet_are_read_by_row_groups(bucket: CloudFiles, tmp_path: Path) -> None:
    table = pa.table({"jws": [line.decode() for line in LINES]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    bring(bucket, tmp_path, "records")
    ranges = plan_records(["gs://bucket/records"])
    assert len(ranges) == 5
    assert [line for part in ranges for line in read_range(part)] == LINES
    assert list(read_lines(place_at("gs://bucket/records/a.parquet"))) == LINES


def test_a_record_that_came_after_the_plan_is_seen_by_the_next(bucket: CloudFiles) -> None:
    bucket.create("records/a.jsonl", LINES[0] + b"\n")
    (part,) = plan_records(["gs://bucket/records"])
    bucket.replace("records/a.jsonl", b"\n".join(LINES[:2]) + b"\n")
    assert list(read_range(part)) == LINES[:1]
    assert [line for part in plan_records(["gs://bucket/records"]) for line in read_range(part)] == LINES[:2]


def test_a_file_that_has_gone_is_named(bucket: CloudFiles) -> None:
    bucket.create("records/a.jsonl", LINES[0])
    (part,) = plan_records(["gs://bucket/records"])
    bucket.delete("records/a.jsonl")
    with pytest.raises(InfrastructureFault, match=r"CONSENTS_UNREADABLE: gs://bucket/records/a\.jsonl"):
        list(read_range(part))


def test_a_file_that_is_kept_compressed_is_refused(bucket: CloudFiles) -> None:
    # The service states its compressed size and hands it out unpacked: its tail would go unread.
    blob = connect().bucket("bucket").blob("records/a.jsonl")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"\n".join(LINES)))
    (part,) = [RecordRange("gs://bucket/records/a.jsonl", 0, 100)]
    for read in (
        lambda: plan_records(["gs://bucket/records"]),
        lambda: list(read_range(part)),
        lambda: bucket.arrow().open_input_file("records/a.jsonl"),
    ):
        with pytest.raises(InfrastructureFault, match="STORE_CLOUD_ENCODED"):
            read()


@pytest.mark.parametrize("name", ["registry.json", "registry.jws", "tenants.json"])
def test_a_registry_that_is_kept_compressed_is_refused(bucket: CloudFiles, tmp_path: Path, name: str) -> None:
    write_starter(tmp_path / "registry", valid_from="2026-01-01T00:00:00Z")
    bring(bucket, tmp_path / "registry", "registry")
    blob = connect().bucket("bucket").blob(f"registry/{name}")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress((tmp_path / "registry" / name).read_bytes()))
    with pytest.raises(InfrastructureFault, match="STORE_CLOUD_ENCODED"):
        load_registry(place_at("gs://bucket/registry"))


def test_a_large_file_is_read_anywhere(bucket: CloudFiles) -> None:
    content = bytes(range(256)) * (24 << 12)
    bucket.create("large", content)
    place = place_at("gs://bucket/large")
    assert size_of(place) == len(content)
    with place.open("rb") as file:
        file.seek(5 << 20)
        assert file.read(1000) == content[5 << 20 : (5 << 20) + 1000]
        file.seek(0)
        assert file.read() == content


# --- registries ---------------------------------------------------------------------------------------------


def test_a_registry_is_the_same_in_a_bucket(bucket: CloudFiles, tmp_path: Path) -> None:
    write_starter(tmp_path / "registry", valid_from="2026-01-01T00:00:00Z")
    bring(bucket, tmp_path / "registry", "registry")
    here, there = load_registry(tmp_path / "registry"), load_registry(place_at("gs://bucket/registry"))
    assert there.registry_hash == here.registry_hash
    assert there.attestation == here.attestation
    assert list(there.subjects.links()) == list(here.subjects.links())


@pytest.mark.parametrize(
    ("gone", "code"),
    [
        ("registry.json", "REGISTRY_UNREADABLE"),
        ("tenants.json", "REGISTRY_UNREADABLE"),
        ("registry.jws", "REGISTRY_UNSIGNED"),
    ],
)
def test_a_registry_that_is_not_whole_is_not_used(
    bucket: CloudFiles, tmp_path: Path, gone: str, code: str
) -> None:
    write_starter(tmp_path / "registry", valid_from="2026-01-01T00:00:00Z")
    bring(bucket, tmp_path / "registry", "registry")
    bucket.delete(f"registry/{gone}")
    with pytest.raises((ConfigurationError, InfrastructureFault), match=code):
        load_registry(place_at("gs://bucket/registry"))


def test_a_service_that_does_not_answer_is_no_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("403")

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("google.cloud.storage.Bucket.get_blob", refused)
    with pytest.raises(InfrastructureFault, match="STORE_CLOUD_FAILED"):
        load_registry(place_at("gs://bucket/registry"))
