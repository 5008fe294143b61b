from __future__ import annotations

import hashlib
import hmac
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from transforms.chunked_encryption import (
    CHUNK_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    SealBroken,
    length_prefixed,
    open_message,
    seal_message,
    sealed_length,
)

KEY = bytes(range(32))
VECTORS = "corpora/wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json"
BOUNDARY_LENGTHS = [0, 1, 7, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES]


def second_implementation(key: bytes, plaintext: bytes, context: bytes, *, salt: bytes) -> bytes:
    """The specification once more, written from its text alone, with the salt given."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    block_1 = hmac.digest(key, info + b"\x01", "sha512")
    derived = block_1 + hmac.digest(key, block_1 + info + b"\x02", "sha512")
    base_nonce = int.from_bytes(derived[32:44], "big")
    aead = AESGCM(derived[:32])
    chunks = [
        aead.encrypt(
            (base_nonce ^ number).to_bytes(12, "big"),
            plaintext[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES],
            None,
        )
        for number in range(len(plaintext) // CHUNK_BYTES + 1)
    ]
    return salt + derived[44:76] + b"".join(chunks)


def vectors(shared_folder: Path) -> Iterator[tuple[dict[str, Any], bytes, bytes, bytes]]:
    document = json.loads((shared_folder / VECTORS).read_text())
    tests = [test for group in document["testGroups"] for test in group["tests"]]
    assert len(tests) == document["numberOfTests"] > 0
    for test in tests:
        ciphertext = zlib.decompress(bytes.fromhex(test["ct"]))
        yield test, bytes.fromhex(test["key"]), bytes.fromhex(test["ctx"]), ciphertext


def test_valid_published_vectors_open_and_seal_to_the_same_bytes(shared_folder: Path) -> None:
    for test, key, context, ciphertext in vectors(shared_folder):
        if test["result"] != "valid":
            continue
        message = open_message(key, ciphertext, context=context)
        assert len(message) == test["msgLength"]
        assert hashlib.sha512(message).hexdigest() == test["msgSha512"]
        assert second_implementation(key, message, context, salt=ciphertext[:24]) == ciphertext


def test_invalid_published_vectors_are_refused(shared_folder: Path) -> None:
    refused = 0
    for test, key, context, ciphertext in vectors(shared_folder):
        if test["result"] == "valid":
            continue
        with pytest.raises(ValueError if len(key) != 32 else SealBroken):
            open_message(key, ciphertext, context=context)
        refused += 1
    assert refused > 20


@pytest.mark.parametrize("length", BOUNDARY_LENGTHS)
def test_what_we_seal_is_what_a_second_implementation_seals(length: int) -> None:
    plaintext = bytes(length)
    sealed = seal_message(KEY, plaintext, context=b"here")
    assert sealed == second_implementation(KEY, plaintext, b"here", salt=sealed[:24])
    assert len(sealed) == sealed_length(length)


@given(st.binary(max_size=70_000), st.binary(max_size=100), st.binary(min_size=32, max_size=32))
def test_sealing_then_opening_gives_the_message_back(plaintext: bytes, context: bytes, key: bytes) -> None:
    sealed = seal_message(key, memoryview(plaintext), context=context)
    assert open_message(key, sealed, context=context) == plaintext


def test_the_salt_is_fresh_each_time() -> None:
    salts = {seal_message(KEY, b"", context=b"")[:24] for _ in range(100)}
    assert len(salts) == 100


def test_truncation_at_every_boundary_is_refused() -> None:
    sealed = seal_message(KEY, bytes(2 * CHUNK_BYTES + 5), context=b"here")
    chunk = CHUNK_BYTES + TAG_BYTES
    edges = [0, 24, HEADER_BYTES, HEADER_BYTES + chunk, HEADER_BYTES + 2 * chunk, len(sealed)]
    lengths = {edge + step for edge in edges for step in (-1, 0, 1) if 0 <= edge + step < len(sealed)}
    for length in lengths:
        with pytest.raises(SealBroken):
            open_message(KEY, sealed[:length], context=b"here")


def test_short_messages_truncated_anywhere_are_refused() -> None:
    sealed = seal_message(KEY, b"seventeen letters", context=b"")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            open_message(KEY, sealed[:length], context=b"")


def test_a_flip_of_any_bit_is_refused() -> None:
    sealed = seal_message(KEY, b"tamper", context=b"")
    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SealBroken):
            open_message(KEY, changed, context=b"")


@pytest.mark.parametrize("context", [b"", b"her", b"here ", b"here\x00"])
def test_another_context_is_refused(context: bytes) -> None:
    sealed = seal_message(KEY, b"message", context=b"here")
    with pytest.raises(SealBroken) as caught:
        open_message(KEY, sealed, context=context)
    assert caught.value.code == "SEAL_BROKEN"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_of_a_wrong_length_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_message(bytes(length), b"", context=b"")
    with pytest.raises(ValueError, match="32 bytes"):
        open_message(bytes(length), bytes(100), context=b"")


def test_text_is_refused_without_being_quoted() -> None:
    with pytest.raises(TypeError) as caught:
        seal_message(KEY, "canary", context=b"")  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)


def test_the_error_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(SealBroken("SEAL_BROKEN", "text")))  # noqa: S301 - our own bytes
    assert isinstance(copy, SealBroken)
    assert copy.code == "SEAL_BROKEN"


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_length_prefixes_never_collide(first: list[bytes], second: list[bytes]) -> None:
    assert (length_prefixed(*first) == length_prefixed(*second)) == (first == second)
