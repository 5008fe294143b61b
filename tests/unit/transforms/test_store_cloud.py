"""What is special to Cloud Storage: lost answers, refusals, leases that nobody renews."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import FIXED_TABLES, ROSTER, STORE_FORMAT_VERSION
from tests.cloud_storage_stand_in import CloudStorage, cloud_storage
from transforms import store_cloud, store_lease, store_reading
from transforms.manifests import FileRecord
from transforms.store import FORMAT_FILE, Store
from transforms.store_cloud import UPLOAD_CHUNK, CloudFiles
from transforms.store_files import open_files
from transforms.store_lease import EXPIRES, TRUSTED, Lease


@pytest.fixture
def service() -> Iterator[tuple[str, CloudStorage]]:
    with cloud_storage() as running:
        yield running


def files_at(address: str) -> CloudFiles:
    client = storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": address}
    )
    return CloudFiles("gs://bucket/s", client)


def test_whose_answer_was_lost_has_made_it_all_the_same(service: tuple[str, CloudStorage]) -> None:
    address, state = service
    state.lose.append("POST")
    assert files_at(address).create("manifests/1", b"mine")
    assert [call for call in state.calls if call[0] == "storage.objects.create"] == [
        ("storage.objects.create", "s/manifests/1")
    ] * 2
    assert not files_at(address).create("manifests/1", b"mine")


def test_a_lost_answer_to_the_last_part_of_an_upload_is_asked_for_again(
    service: tuple[str, CloudStorage],
) -> None:
    address, state = service
    new = files_at(address).open_new("t")
    new.write(b"x" * (UPLOAD_CHUNK + 1))
    state.lose.append("PUT")
    new.close()
    assert files_at(address).size("t") == UPLOAD_CHUNK + 1


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (exceptions.Forbidden("quoted words"), "what the account may do"),
        (exceptions.NotFound("quoted words"), "the bucket is not there"),
        (ConnectionError("quoted words"), "check the network"),
    ],
)
def test_refusals_say_what_to_do_and_quote_nothing(error: Exception, advice: str) -> None:
    with pytest.raises(InfrastructureFault, match=advice) as caught, store_cloud.faults("write", "a/b"):
        raise error
    assert "quoted" not in str(caught.value)
    assert caught.value.code == "STORE_CLOUD_FAILED"


def test_without_the_client_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.cloud", None)
    store_cloud._shared_client.cache_clear()
    with pytest.raises(ConfigurationError, match=r"STORE_NO_CLOUD.*cofferdam\[gcp\]"):
        open_files("gs://bucket/s")


def test_replacing_what_another_replaced_meanwhile_is_refused(
    service: tuple[str, CloudStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = files_at(service[0]), files_at(service[0])
    mine.replace("c", b"first")
    look = CloudFiles.look

    def meanwhile(files: CloudFiles, path: str) -> Any:
        there = look(files, path)
        if files is mine:
            other.replace("c", b"theirs")
        return there

    monkeypatch.setattr(CloudFiles, "look", meanwhile)
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        mine.replace("c", b"second")
    assert other.read("c") == b"theirs"


# --- leases -------------------------------------------------------------------------------------------------


def test_a_lease_that_nobody_renews_passes_to_one_other(service: tuple[str, CloudStorage]) -> None:
    address, state = service
    dead = Lease(files_at(address), "run-dead00")
    dead.__enter__()
    dead._ended.set()  # its process is gone, and its thread with it
    state.ahead = timedelta(seconds=EXPIRES - 10)
    with pytest.raises(InfrastructureFault, match="STORE_LOCKED"):
        Lease(files_at(address), "run-early0").__enter__()
    state.ahead = timedelta(seconds=EXPIRES + 10)
    with Lease(files_at(address), "run-next00"):
        with pytest.raises(InfrastructureFault, match=r"STORE_LOCKED.*run-next00"):
            Lease(files_at(address), "run-third0").__enter__()
        dead.__exit__(None, None, None)  # what was dead after all takes nobody else's lease away
        assert "s/.lock" in state.objects
    assert not state.objects


def test_a_lease_is_renewed_and_then_outlives_its_time(
    service: tuple[str, CloudStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, state = service
    monkeypatch.setattr(store_lease, "RENEWED", 0.05)
    with Lease(files_at(address), "run-000001"):
        first = state.objects["s/.lock"].generation
        state.ahead = timedelta(seconds=EXPIRES + 10)
        for _ in range(100):
            if state.objects["s/.lock"].generation > first + 1:
                break
            time.sleep(0.05)
        with pytest.raises(InfrastructureFault, match="STORE_LOCKED"):
            Lease(files_at(address), "run-000002").__enter__()


def test_who_could_not_renew_changes_nothing_more(
    service: tuple[str, CloudStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_at(service[0])
    with files.lock("run-000001"):
        assert files.create("a", b"")
        late = time.monotonic() + TRUSTED + 1
        monkeypatch.setattr(time, "monotonic", lambda: late)
        for change in (
            lambda: files.create("b", b""),
            lambda: files.replace("a", b"x"),
            lambda: files.delete("a"),
            lambda: files.open_new("c"),
        ):
            with pytest.raises(InfrastructureFault, match="STORE_LOCK_LOST"):
                change()
        monkeypatch.undo()
    assert (files.read("a"), files.size("b")) == (b"", None)


def test_a_lease_that_was_taken_over_is_lost_at_once(service: tuple[str, CloudStorage]) -> None:
    address, state = service
    files = files_at(address)
    lease = Lease(files, "run-000001")
    with lease:
        state.store({"name": "s/.lock", "metadata": {}}, None, b"{}")
        assert not lease.renew()
        with pytest.raises(InfrastructureFault, match="STORE_LOCK_LOST"):
            lease.check()
    assert "s/.lock" in state.objects


def test_what_was_compared_with_its_digest_is_what_is_read(
    service: tuple[str, CloudStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else who can write to the bucket waits until the digest was compared."""
    files = files_at(service[0])
    files.create(FORMAT_FILE, b'{"version": %d}' % STORE_FORMAT_VERSION)
    store, other = Store.of(files), files_at(service[0])
    for meeting in ("abc", "xyz"):
        rows = pa.Table.from_pylist([{"meeting_join": meeting}] * 9, FIXED_TABLES[ROSTER])
        with store.writer(f"run-{meeting:0<6}", ROSTER) as writer:
            writer.append(rows)
            store = store.commit(f"run-{meeting:0<6}", writer.close(), {})
    own, forged = store.files(ROSTER)
    check = store_reading.check_content

    def exchanged_behind(checking: CloudFiles, record: FileRecord) -> None:
        check(checking, record)
        other.replace(own.path, other.read(forged.path))

    monkeypatch.setattr(store_reading, "check_content", exchanged_behind)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_BROKEN"):
        list(store.scan(ROSTER, ["meeting_join"], records=[own]))
    monkeypatch.undo()
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        list(Store.of(files_at(service[0])).scan(ROSTER, ["meeting_join"], records=[own]))
