"""What every filesystem of a store must do, held against a local folder and against Cloud Storage.

Cloud Storage is a stand-in inside the tests and, where it is installed, ``fake-gcs-server``
(``go install github.com/fsouza/fake-gcs-server@v1.56.1``): both speak the service's protocol to its own
client library, and neither is the service.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")


from schemas.errors import ConfigurationError, InfrastructureFault
from tests.cloud_storage_emulator import client, emulated_storage
from tests.cloud_storage_stand_in import cloud_storage
from transforms.store_cloud import UPLOAD_CHUNK, CloudFiles
from transforms.store_files import LocalFiles, StoreFiles, open_files


@pytest.fixture(scope="module")
def emulated() -> Iterator[str]:
    """Address of a running emulator."""
    with emulated_storage() as address:
        yield address


@pytest.fixture(scope="module")
def stood_in() -> Iterator[str]:
    """Address of the stand-in."""
    with cloud_storage() as (address, _):
        yield address


@dataclass(frozen=True)
class Place:
    """Where a store lies; every call of ``again`` is another process's view of it."""

    kind: str
    root: str
    address: str = ""

    @cached_property
    def files(self) -> StoreFiles:
        """The files of the store."""
        return self.again()

    def again(self) -> StoreFiles:
        """The files, as another process has them."""
        return CloudFiles(self.root, client(self.address)) if self.address else LocalFiles(self.root)


@pytest.fixture(params=["local", "stood_in", "emulated"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One empty place of each kind."""
    if request.param == "local":
        return Place("local", str(tmp_path))
    return Place(request.param, f"gs://bucket/{tmp_path.name}/s", request.getfixturevalue(request.param))


def found(files: StoreFiles, folder: str = "") -> dict[str, int]:
    """Paths and sizes of what is there."""
    return {file.path: file.size for file in files.find(folder) if "/." not in f"/{file.path}"}


def test_only_one_of_many_creates_a_file(place: Place) -> None:
    views = [place.again() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: views[number % 4].create("m/1.json", b"%d" % number), range(12)))
    assert made.count(True) == 1
    assert place.files.read("m/1.json") == b"%d" % made.index(True)


def test_what_was_made_is_listed_at_once_with_its_size(place: Place) -> None:
    expected = {f"a/{number}": number for number in range(8)}
    for path, size in expected.items():
        assert place.files.create(path, b"x" * size)
        assert found(place.again(), "a")[path] == size
    assert found(place.again()) == expected
    assert found(place.files, "ab") == {}
    ages = [time.time() - file.modified for file in place.files.find("a")]
    assert all(abs(age) < 60 for age in ages)


def test_a_folder_is_no_prefix_of_another(place: Place) -> None:
    place.files.create("ab/1", b"")
    assert found(place.files, "a") == {}


def test_replacing_and_deleting(place: Place) -> None:
    place.files.replace("c", b"first")
    place.files.replace("c", b"second")
    assert (place.files.read("c"), place.files.size("c")) == (b"second", 6)
    place.files.delete("c")
    place.files.delete("c")
    assert place.files.size("c") is None
    with pytest.raises(InfrastructureFault, match=r"STORE_FILE_MISSING.* c: "):
        place.files.read("c")


@pytest.mark.parametrize("size", [0, 5, UPLOAD_CHUNK, UPLOAD_CHUNK + 1, 2 * UPLOAD_CHUNK])
def test_a_new_file_holds_what_was_written(place: Place, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    new = place.files.open_new("t/f.parquet")
    for start in range(0, size, 3_000_000):
        new.write(content[start : start + 3_000_000])
    new.close()
    assert place.again().size("t/f.parquet") == size
    assert place.again().read("t/f.parquet") == content


@pytest.mark.parametrize("size", [5, UPLOAD_CHUNK + 5, 2 * UPLOAD_CHUNK + 5])
def test_what_was_abandoned_is_not_there(place: Place, size: int) -> None:
    new = place.files.open_new("t/f.parquet")
    new.write(b"x" * size)
    new.abandon()
    del new
    gc.collect()
    assert place.again().size("t/f.parquet") is None
    assert found(place.files) == {}


def test_a_finished_file_can_still_be_abandoned(place: Place) -> None:
    new = place.files.open_new("t/f.parquet")
    new.write(b"x")
    new.close()
    new.abandon()
    assert place.again().size("t/f.parquet") is None


@pytest.mark.parametrize("size", [1, UPLOAD_CHUNK + 1])
def test_a_new_file_never_takes_the_place_of_another(place: Place, size: int) -> None:
    place.files.create("t", b"first")

    def write() -> None:
        new = place.files.open_new("t")
        new.write(b"x" * size)
        new.close()

    with pytest.raises(InfrastructureFault):
        write()
    assert place.files.read("t") == b"first"


def test_an_upload_whose_process_dies_is_not_seen(place: Place) -> None:
    if place.kind == "local":
        pytest.skip("a local file is seen while it is written; no manifest names it")
    upload: Any = place.files.open_new("t")
    upload.write(b"x" * (UPLOAD_CHUNK + 1))
    assert place.again().size("t") is None
    assert found(place.again()) == {}
    del upload
    gc.collect()
    assert place.again().size("t") is None


def test_arrow_reads_the_same_bytes(place: Place) -> None:
    table = pa.table({"a": list(range(1000)), "b": [str(number) for number in range(1000)]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=100)
    place.files.create("t/f.parquet", sink.getvalue().to_pybytes())
    read = pq.read_table("t/f.parquet", filesystem=place.files.arrow(), columns=["b"])
    assert read.equals(table.select(["b"]))
    with place.files.arrow().open_input_stream("t/f.parquet") as stream:
        assert stream.read() == sink.getvalue().to_pybytes()
    with pytest.raises(FileNotFoundError):
        place.files.arrow().open_input_file("t/none.parquet")


def test_one_writer_at_a_time(place: Place) -> None:
    other = place.again()
    with place.files.lock("run-000001"):
        with (
            pytest.raises(InfrastructureFault, match=r"STORE_LOCKED.*run-000001"),
            other.lock("run-000002"),
        ):
            pass
        with other.lock("run-000002", "log"):
            pass
    with other.lock("run-000002"):
        pass


def test_a_place_is_occupied_by_what_is_seen(place: Place) -> None:
    assert not place.files.is_occupied()
    place.files.create(".hidden", b"")
    assert not place.files.is_occupied()
    place.files.create("other/file", b"")
    assert place.files.is_occupied()


@pytest.mark.parametrize("address", ["gs://", "gs:///a", "gs://B/a", "gs://bucket//a", "gs://bucket/a/../b"])
def test_addresses_that_name_no_store(address: str) -> None:
    with pytest.raises(ConfigurationError, match="STORE_FILESYSTEM"):
        open_files(address)
