"""Signed notes and checkpoints as C2SP writes them down, with the specifications' own examples."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, PromiseBroken
from transforms.audit_note import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    read_checkpoint,
    sign,
    signers,
    unverified_checkpoint,
    verifier_of,
)
from transforms.audit_tree import EMPTY_ROOT

GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of the documentation of golang.org/x/mod/sumdb/note."""

SPECIFICATION_CHECKPOINT = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
"""The example of C2SP's tlog-checkpoint."""

NAME = "cofferdam/log/0123"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
CHECKPOINT = Checkpoint(NAME, 7, bytes(range(32)))
SIGNED = sign(CHECKPOINT.text, NAME, KEY)
VERIFIER = verifier_of(NAME, KEY)


def test_gos_own_example_is_verified() -> None:
    key = VerifierKey.parse(GO_VERIFIER)
    assert str(key) == GO_VERIFIER
    note = parse_note(GO_NOTE.encode())
    assert note is not None
    assert signers(note, [key]) == [key]


def test_the_specifications_checkpoint_is_read() -> None:
    checkpoint, note = unverified_checkpoint(SPECIFICATION_CHECKPOINT.encode())
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root_text == "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    ((name, key_id, signature),) = note.signatures
    assert (name, key_id.hex(), len(signature)) == ("example.com/behind-the-sofa", "033de0ae", 64)


def test_a_checkpoint_reads_as_it_was_signed() -> None:
    assert read_checkpoint(SIGNED, [VERIFIER]) == CHECKPOINT
    assert VerifierKey.parse(f" {VERIFIER}\n") == VERIFIER
    assert Checkpoint(NAME, 0, EMPTY_ROOT).text.startswith(f"{NAME}\n0\n47DEQ".encode())


def test_signatures_of_strangers_are_passed_over() -> None:
    stranger = sign(CHECKPOINT.text, "example.com/witness", OTHER).rpartition(b"\n\n")[2]
    for content in (SIGNED + stranger, SIGNED.replace(b"\n\n", b"\n\n" + stranger)):
        assert read_checkpoint(content, [VERIFIER]) == CHECKPOINT
    with pytest.raises(PromiseBroken) as caught:
        read_checkpoint(SIGNED, [verifier_of(NAME, OTHER)])
    assert caught.value.code == "AUDIT_SIGNER_UNKNOWN"


def test_a_key_of_another_name_does_not_speak_for_the_log() -> None:
    note = sign(CHECKPOINT.text, "example.com/witness", OTHER)
    with pytest.raises(PromiseBroken) as caught:
        read_checkpoint(note, [verifier_of("example.com/witness", OTHER)])
    assert caught.value.code == "AUDIT_SIGNER_UNKNOWN"


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(place: int, change: int) -> None:
    spoilt = bytearray(SIGNED)
    spoilt[place] ^= change
    with pytest.raises(PromiseBroken):
        read_checkpoint(bytes(spoilt), [VERIFIER])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        CHECKPOINT.text,
        SIGNED[:-1],
        SIGNED.rpartition(b"\n\n")[2],
        SIGNED + b"\n",
        SIGNED.replace(b"\n7\n", b"\n7\t\n"),
        SIGNED.replace("—".encode(), b"-"),
        b"\xff" + SIGNED,
        SIGNED + SIGNED.rpartition(b"\n\n")[2] * 64,
        SIGNED + "— a+b AAAAAAAA\n".encode(),
        SIGNED + "— name AAAA\n".encode(),
    ],
)
def test_what_is_no_note_is_none(content: bytes) -> None:
    assert parse_note(content) is None


@pytest.mark.parametrize(
    "text",
    [
        b"o\n7\n",
        b"o\n07\nAAAA\n",
        b"o\n-1\n" + base64.b64encode(bytes(32)) + b"\n",
        b"o\n7\n" + base64.b64encode(bytes(31)) + b"\n",
        b"o\n7\n" + base64.b64encode(bytes(32)),
        b"\n7\n" + base64.b64encode(bytes(32)) + b"\n",
        b"o\n7\n" + base64.b64encode(bytes(32)) + b"\n\nmore\n",
        b"o\n\xd9\xa7\n" + base64.b64encode(bytes(32)) + b"\n",
    ],
)
def test_what_is_no_checkpoint_is_none(text: bytes) -> None:
    assert parse_checkpoint(text) is None


def test_extension_lines_are_passed_over() -> None:
    text = CHECKPOINT.text + b"more\n"
    assert parse_checkpoint(text) == CHECKPOINT
    assert read_checkpoint(sign(text, NAME, KEY), [VERIFIER]) == CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        f"{VERIFIER}x",
        str(VERIFIER).replace("+", "-"),
        GO_VERIFIER.replace("c74f20a3", "c74f20a4"),
        GO_VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        "n+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        VerifierKey.parse(text)
    assert caught.value.code == "AUDIT_VERIFIER_KEY"


def test_a_public_key_that_is_none_verifies_nothing() -> None:
    assert not VerifierKey(NAME, b"\xff" * 32).verifies(b"text", bytes(64))
