"""One suite that every key provider passes, whatever keeps the private half; and what is Cloud KMS's own."""

from __future__ import annotations

import pickle
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import pytest

from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from tests.unit.transforms.key_samples import add_bundle, item_id, key_rows, open_all, seal
from tests.unit.transforms.kms_fake import (
    DESTROYED,
    DISABLED,
    DUE,
    ENABLED,
    ML_KEM_768,
    FakeKms,
    Version,
    name_of,
)
from transforms import key_provider_gcp
from transforms.chunked_encryption import SealBroken
from transforms.key_destruction import destroy_key
from transforms.key_files import describe_keys
from transforms.key_provider_gcp import SCHEME, CloudKmsVaultKey, crc32c, fetch_public_half, key_name
from transforms.key_providers import Destruction, LocalVaultKey, VaultKey
from transforms.key_rotation import rotate_store
from transforms.keys import (
    ReleaseKeys,
    ServiceKey,
    create_key_directory,
    load_ingest_keys,
    load_release_keys,
)
from transforms.store import Store

DAY = date(2026, 2, 3)
SECRET = bytes(range(32))


class Provider(Protocol):
    """What a provider must be able to do for the suite."""

    def init(self, directory: Path, continues: Path | None = None) -> Path:
        """A new key directory whose vault key this provider keeps."""

    def take_away(self, keys: ReleaseKeys) -> None:
        """Take the private half of the current vault key away."""


class Local:
    def init(self, directory: Path, continues: Path | None = None) -> Path:
        create_key_directory(directory, created=DAY, continues=continues)
        return directory

    def take_away(self, keys: ReleaseKeys) -> None:
        raise pytest.skip.Exception("a local private half is a file: without it the directory does not load")


@dataclass
class Cloud:
    service: FakeKms

    def init(self, directory: Path, continues: Path | None = None) -> Path:
        name = name_of(len(self.service.versions) + 1)
        self.service.versions[name] = Version()
        vault = ServiceKey(fetch_public_half(name), name)
        create_key_directory(directory, created=DAY, continues=continues, vault=vault)
        return directory

    def take_away(self, keys: ReleaseKeys) -> None:
        list(self.service.versions.values())[-1].state = DISABLED


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKms]:
    made = FakeKms()
    monkeypatch.setattr(key_provider_gcp, "connect", lambda: made)
    monkeypatch.setattr(key_provider_gcp, "_client", None)
    yield made
    key_provider_gcp._client = None


@pytest.fixture(params=["local", "cloud"])
def provider(request: pytest.FixtureRequest, service: FakeKms) -> Provider:
    return Local() if request.param == "local" else Cloud(service)


@pytest.fixture
def made(provider: Provider, tmp_path: Path) -> Path:
    return provider.init(tmp_path / "keys")


def both(directory: Path) -> tuple[Any, ReleaseKeys]:
    return load_ingest_keys(directory / "ingest"), load_release_keys(directory / "release")


# --- the suite ----------------------------------------------------------------------------------------------


def test_what_ingest_wraps_the_provider_unwraps(made: Path) -> None:
    ingest, release = both(made)
    for info in (b"", b"place", bytes(300)):
        wrapped = ingest.wrap_to_vault(SECRET, info=info)
        assert release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=info) == SECRET


def test_release_can_wrap_to_its_own_vault(made: Path) -> None:
    _, release = both(made)
    wrapped = release.wrap_to_vault(SECRET, info=b"place")
    assert release.unwrap_from_vault(wrapped, vault_id=release.vault_id, info=b"place") == SECRET


def test_another_context_does_not_unwrap(made: Path) -> None:
    ingest, release = both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"here")
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"there")


@pytest.mark.parametrize("place", [0, 1087, 1088, 1119, 1120, -1])
def test_one_changed_bit_does_not_unwrap(made: Path, place: int) -> None:
    ingest, release = both(made)
    wrapped = bytearray(ingest.wrap_to_vault(SECRET, info=b""))
    wrapped[place] ^= 1
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        release.unwrap_from_vault(bytes(wrapped), vault_id=ingest.vault_id, info=b"")


@pytest.mark.parametrize("length", [0, 1, 1119, 1120, 1135, 1167])
def test_a_truncated_wrapping_does_not_unwrap(made: Path, length: int) -> None:
    ingest, release = both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"")
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        release.unwrap_from_vault(wrapped[:length], vault_id=ingest.vault_id, info=b"")


def test_a_key_of_another_vault_does_not_unwrap(made: Path, provider: Provider, tmp_path: Path) -> None:
    ingest, release = both(made)
    foreign = load_ingest_keys(provider.init(tmp_path / "other") / "ingest").wrap_to_vault(SECRET, info=b"")
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        release.unwrap_from_vault(foreign, vault_id=ingest.vault_id, info=b"")
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        release.unwrap_from_vault(foreign, vault_id=bytes(16), info=b"")


def test_a_key_that_was_taken_away_unwraps_nothing(made: Path, provider: Provider) -> None:
    ingest, release = both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"")
    provider.take_away(release)
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"")


def test_an_older_key_opens_until_it_is_destroyed(made: Path, provider: Provider, tmp_path: Path) -> None:
    older = load_ingest_keys(made / "ingest")
    wrapped = older.wrap_to_vault(SECRET, info=b"")
    ingest, release = both(provider.init(tmp_path / "next", made))
    assert release.vault_id == ingest.vault_id != older.vault_id
    assert release.older_vaults == (older.vault_id,)
    assert release.unwrap_from_vault(wrapped, vault_id=older.vault_id, info=b"") == SECRET
    release.vault(older.vault_id).destroy()
    destroy_key(release.directory, "release", older.vault_id.hex())
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        load_release_keys(release.directory).unwrap_from_vault(wrapped, vault_id=older.vault_id, info=b"")


def test_destroying_twice_is_destroying_once(made: Path) -> None:
    _, release = both(made)
    vault = release.vault(release.vault_id)
    assert vault.destroy() == vault.destroy()


def test_errors_name_ids_and_neither_key_nor_ciphertext(made: Path) -> None:
    ingest, release = both(made)
    wrapped = bytearray(ingest.wrap_to_vault(SECRET, info=b"CANARY"))
    wrapped[-1] ^= 1
    with pytest.raises(SealBroken) as caught:
        release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"CANARY")
    assert ingest.vault_id.hex() in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for hidden in ("CANARY", bytes(wrapped).hex()[:20], repr(bytes(wrapped))[2:20]):
        assert hidden not in str(caught.value)


def test_nothing_pickled_holds_a_private_half(made: Path, service: FakeKms) -> None:
    pickled = pickle.dumps(both(made))
    for file in made.rglob("*.key"):
        assert file.read_bytes()[:16] not in pickled
    for version in service.versions.values():
        assert version.x25519.private_bytes_raw() not in pickled
    ingest, release = pickle.loads(pickled)  # noqa: S301 - our own bytes
    wrapped = ingest.wrap_to_vault(SECRET, info=b"")
    assert release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"") == SECRET


def test_every_wrapping_is_another(made: Path) -> None:
    ingest, _ = both(made)
    assert len({ingest.wrap_to_vault(SECRET, info=b"") for _ in range(5)}) == 5


def test_a_store_is_sealed_opened_and_rotated(made: Path, provider: Provider, tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    store = add_bundle(store, "run-000001", seal(load_ingest_keys(made / "ingest"), [1, 2]))
    backup = key_rows(store)
    release = load_release_keys(provider.init(tmp_path / "next", made) / "release")
    with store.writing("rotate-0001") as current:
        done = rotate_store(current, release)
    for vault_id in release.older_vaults:
        release.vault(vault_id).destroy()
        destroy_key(release.directory, "release", vault_id.hex())
    left = load_release_keys(release.directory)
    opened = open_all(store.refreshed(), left)
    assert (done.data_keys, len(opened.items), opened.broken) == (3, 3, [])
    assert item_id(1) in {item.item_id for item in opened.items}
    assert not open_all(store.refreshed(), left, backup).items


# --- several providers together -----------------------------------------------------------------------------


def test_a_store_can_move_from_a_local_key_to_the_cloud(service: FakeKms, tmp_path: Path) -> None:
    older = Local().init(tmp_path / "keys")
    wrapped = load_ingest_keys(older / "ingest").wrap_to_vault(SECRET, info=b"")
    ingest, release = both(Cloud(service).init(tmp_path / "next", older))
    purposes = [entry.purpose for entry in describe_keys(tmp_path / "next" / "release", "release")]
    assert purposes[0] == "vault_service"
    assert "vault_private" in purposes
    (old,) = release.older_vaults
    assert release.unwrap_from_vault(wrapped, vault_id=old, info=b"") == SECRET
    newer = ingest.wrap_to_vault(SECRET, info=b"")
    assert release.unwrap_from_vault(newer, vault_id=ingest.vault_id, info=b"") == SECRET


def test_the_same_key_version_twice_is_no_rotation(service: FakeKms, tmp_path: Path) -> None:
    older = Cloud(service).init(tmp_path / "keys")
    vault = ServiceKey(fetch_public_half(name_of(1)), name_of(1))
    with pytest.raises(ConfigurationError, match="KEYS_SAME_VAULT"):
        create_key_directory(tmp_path / "next", created=DAY, continues=older, vault=vault)
    assert not (tmp_path / "next").exists()


def test_local_private_halves_do_not_travel() -> None:
    material = secrets.token_bytes(96)
    with pytest.raises(TypeError):
        pickle.dumps(LocalVaultKey(material))


# --- Cloud KMS's own ----------------------------------------------------------------------------------------


@pytest.fixture
def cloud(service: FakeKms, tmp_path: Path) -> tuple[FakeKms, VaultKey, bytes]:
    """The service, a key in it, and a key wrapped to it."""
    ingest, release = both(Cloud(service).init(tmp_path / "cloud"))
    service.calls.clear()
    return service, release.vault(release.vault_id), ingest.wrap_to_vault(SECRET, info=b"")


def test_sealing_never_asks_the_service(cloud: tuple[FakeKms, VaultKey, bytes]) -> None:
    assert cloud[0].calls == []


DAMAGE = [
    ("shared_secret", bytes(32)),
    ("shared_secret", b""),
    ("shared_secret_crc32c", 7),
    ("verified_ciphertext_crc32c", False),
    ("name", name_of(9)),
]


@pytest.mark.parametrize(("what", "value"), DAMAGE)
def test_a_damaged_answer_is_never_used(
    cloud: tuple[FakeKms, VaultKey, bytes], what: str, value: object
) -> None:
    service, vault, wrapped = cloud
    service.damage = {what: value}
    with pytest.raises(InfrastructureFault, match="KMS_INTEGRITY"):
        vault.unwrap(wrapped, info=b"")
    assert len(service.calls) == 3


@pytest.mark.parametrize(("what", "value"), DAMAGE)
def test_damage_that_passes_is_asked_again(
    cloud: tuple[FakeKms, VaultKey, bytes], what: str, value: object
) -> None:
    service, vault, wrapped = cloud
    service.damage, service.damaged_answers = {what: value}, 2
    assert vault.unwrap(wrapped, info=b"") == SECRET


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("UNAVAILABLE", "KMS_UNAVAILABLE", InfrastructureFault),
        ("DEADLINE_EXCEEDED", "KMS_UNAVAILABLE", InfrastructureFault),
        ("RESOURCE_EXHAUSTED", "KMS_UNAVAILABLE", InfrastructureFault),
        ("PERMISSION_DENIED", "KMS_DENIED", InfrastructureFault),
        ("UNAUTHENTICATED", "KMS_DENIED", InfrastructureFault),
        ("NOT_FOUND", "SEAL_KEY_MISSING", SealBroken),
        ("FAILED_PRECONDITION", "SEAL_KEY_MISSING", SealBroken),
        ("INVALID_ARGUMENT", "SEAL_KEY_BROKEN", SealBroken),
    ],
)
def test_errors_of_the_service_are_ours_and_quote_nothing(
    cloud: tuple[FakeKms, VaultKey, bytes], status: str, code: str, kind: type[CofferdamError]
) -> None:
    service, vault, wrapped = cloud
    service.failing = status
    with pytest.raises(kind) as caught:
        vault.unwrap(wrapped, info=b"")
    assert caught.value.code == code
    assert "request was" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_outage_is_not_taken_for_a_broken_key(service: FakeKms, tmp_path: Path) -> None:
    made = Cloud(service).init(tmp_path / "keys")
    store = Store.open_or_create(tmp_path / "store")
    store = add_bundle(store, "run-000001", seal(load_ingest_keys(made / "ingest"), [1]))
    release = load_release_keys(Cloud(service).init(tmp_path / "next", made) / "release")
    service.failing = "UNAVAILABLE"
    with store.writing("rotate-0001") as current, pytest.raises(InfrastructureFault, match="KMS_UNAVAILABLE"):
        rotate_store(current, release)
    assert store.refreshed().version == store.version
    service.failing = ""
    with store.writing("rotate-0001") as current:
        assert rotate_store(current, release).broken == {}


def test_destruction_is_scheduled_and_says_when(cloud: tuple[FakeKms, VaultKey, bytes]) -> None:
    service, vault, wrapped = cloud
    assert vault.destroy() == Destruction(done=False, due=DUE.isoformat())
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        vault.unwrap(wrapped, info=b"")
    next(iter(service.versions.values())).state = DESTROYED
    assert vault.destroy() == Destruction(done=True)
    assert service.calls.count("DestroyCryptoKeyVersionRequest") == 1


def test_a_destruction_that_the_service_does_not_confirm_is_none(
    cloud: tuple[FakeKms, VaultKey, bytes],
) -> None:
    cloud[0].damage = {"state": ENABLED}
    with pytest.raises(InfrastructureFault, match="KMS_NOT_DESTROYED"):
        cloud[1].destroy()


def test_a_key_of_another_algorithm_is_refused(service: FakeKms) -> None:
    service.versions[name_of(1)] = Version(algorithm=ML_KEM_768)
    for version in (1, 2):
        with pytest.raises(ConfigurationError, match="KEYS_KMS_KEY"):
            fetch_public_half(name_of(version))


@pytest.mark.parametrize("damage", [{"public_data": bytes(1216)}, {"public_data": b""}, {"name": name_of(2)}])
def test_a_damaged_public_half_is_refused(service: FakeKms, damage: dict[str, object]) -> None:
    service.versions[name_of(1)] = Version()
    service.damage = damage
    with pytest.raises(InfrastructureFault, match="KMS_INTEGRITY"):
        fetch_public_half(name_of(1))


@pytest.mark.parametrize("name", ["", "projects/p", f"{name_of(1)}/x", name_of(1).replace("vault", "../x")])
def test_what_is_no_name_of_a_key_version_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYS_KMS_NAME"):
        key_name(f"{SCHEME}{name}")
    with pytest.raises(ConfigurationError, match="KEYS_KMS_NAME"):
        key_name(name_of(1))
    assert key_name(f"{SCHEME}{name_of(1)}") == name_of(1)


def test_a_reference_holds_no_secret(service: FakeKms, tmp_path: Path) -> None:
    made = Cloud(service).init(tmp_path / "keys")
    (version,) = service.versions.values()
    everything = b"".join(path.read_bytes() for path in made.rglob("*") if path.is_file())
    assert version.mlkem.private_bytes_raw() not in everything
    assert version.x25519.private_bytes_raw() not in everything
    assert "KmsVaultKey" in repr(CloudKmsVaultKey(name_of(1), version.public_half))


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.kms", None)
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(ConfigurationError, match=r"cofferdam\[kms\]"):
        key_provider_gcp.connect()


def test_nothing_of_the_cloud_is_loaded_without_such_a_key(tmp_path: Path) -> None:
    import subprocess

    Local().init(tmp_path / "keys")
    code = (
        "import sys; from transforms.keys import load_release_keys; "
        f"load_release_keys({str(tmp_path / 'keys' / 'release')!r}); "
        "print('transforms.key_provider_gcp' in sys.modules, 'google.cloud.kms' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    shown = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False False"


def test_crc32c_is_castagnoli() -> None:
    # RFC 3720, appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0
