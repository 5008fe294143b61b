"""Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint, Ed25519).

A checkpoint is three lines (origin, number of entries, root hash) under a signature. Whoever keeps one can
find out later whether the log still begins with what it then held.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import ConfigurationError, PromiseBroken
from transforms.audit_tree import HASH_BYTES

ED25519 = b"\x01"
MOST_SIGNATURES = 64
LARGEST_NOTE = 1 << 20
_DASH = "— "
_ID_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_VERIFIER = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class VerifierKey:
    """A public key under the name that it signs with.

    Attributes:
        name: Key name; the log's origin.
        public: Ed25519 public key (32 bytes).
    """

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that a signature names its key with."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The key in the one-line form that Go's ``note.NewVerifier`` reads."""
        return f"{self.name}+{self.key_id.hex()}+{_text(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the one-line form.

        Raises:
            ConfigurationError: It is no verifier key, or its id is not its own (``AUDIT_VERIFIER_KEY``).
        """
        match = _VERIFIER.fullmatch(text.strip())
        material = _bytes(match[3]) if match else None
        if match and material and material[:1] == ED25519 and len(material) == 1 + HASH_BYTES:
            key = cls(match[1], material[1:])
            if key.key_id.hex() == match[2] and is_key_name(key.name):
                return key
        raise ConfigurationError(
            "AUDIT_VERIFIER_KEY", "a verifier key is NAME+ID+KEY, as `cofferdam audit key` prints it"
        )

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether this key has signed a text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Note:
    """A note taken apart: its text with its last newline, and (key name, key id, signature) of each line."""

    text: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself at one moment.

    Attributes:
        origin: Which log.
        size: Entries in it.
        root: Root hash over them (32 bytes).
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{_text(self.root)}\n".encode()

    @property
    def root_text(self) -> str:
        """The root hash as the checkpoint writes it (Base64)."""
        return _text(self.root)


def is_key_name(name: str) -> bool:
    """Whether a key may have this name."""
    return bool(name) and "+" not in name and not any(letter.isspace() or letter < " " for letter in name)


def verifier_of(name: str, key: Ed25519PrivateKey) -> VerifierKey:
    """The public half of a signing key under a name."""
    return VerifierKey(name, key.public_key().public_bytes_raw())


def sign(text: bytes, name: str, key: Ed25519PrivateKey) -> bytes:
    """A note with one signature."""
    key_id = verifier_of(name, key).key_id
    return text + f"\n{_DASH}{name} {_text(key_id + key.sign(text))}\n".encode()


def parse_note(content: bytes) -> Note | None:
    """Take a note apart without believing it; None if it is no note."""
    if len(content) > LARGEST_NOTE or any(byte < 0x20 and byte != 0x0A for byte in content):
        return None
    text, blank, lines = content.rpartition(b"\n\n")
    if not blank or not lines.endswith(b"\n"):
        return None
    try:
        text.decode()
        found = [_signature(line) for line in lines.decode().split("\n")[:-1]]
    except UnicodeDecodeError:
        return None
    signatures = tuple(entry for entry in found if entry is not None)
    if len(signatures) != len(found) or not 0 < len(found) <= MOST_SIGNATURES:
        return None
    return Note(text + b"\n", signatures)


def _signature(line: str) -> tuple[str, bytes, bytes] | None:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    data = _bytes(encoded)
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        return None
    return None if data is None or len(data) <= _ID_BYTES else (name, data[:_ID_BYTES], data[_ID_BYTES:])


def signers(note: Note, verifiers: Iterable[VerifierKey]) -> list[VerifierKey]:
    """The known keys that have signed a note; signatures of unknown keys are passed over.

    Raises:
        PromiseBroken: A known key's signature does not fit the text (``AUDIT_SIGNATURE``).
    """
    known = {(key.name, key.key_id): key for key in verifiers}
    found = []
    for name, key_id, signature in note.signatures:
        if (key := known.get((name, key_id))) is None:
            continue
        if not key.verifies(note.text, signature):
            raise PromiseBroken(
                "AUDIT_SIGNATURE", f"a signature under the name {name} does not fit what it stands under"
            )
        found.append(key)
    return found


def parse_checkpoint(text: bytes) -> Checkpoint | None:
    """Read the text of a checkpoint; extension lines are passed over. None if it is none."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        return None
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
        return None
    root = _bytes(lines[2])
    return Checkpoint(lines[0], int(lines[1]), root) if root and len(root) == HASH_BYTES else None


def read_checkpoint(content: bytes, verifiers: Sequence[VerifierKey]) -> Checkpoint:
    """Read a signed checkpoint and check that a known key has signed it.

    Raises:
        PromiseBroken: It is no checkpoint (``AUDIT_CHECKPOINT_BROKEN``), a signature does not fit
            (``AUDIT_SIGNATURE``), or no known key has signed it (``AUDIT_SIGNER_UNKNOWN``).
    """
    checkpoint, note = unverified_checkpoint(content)
    if not [key for key in signers(note, verifiers) if key.name == checkpoint.origin]:
        raise PromiseBroken(
            "AUDIT_SIGNER_UNKNOWN", "no key that is known for this log has signed the checkpoint"
        )
    return checkpoint


def unverified_checkpoint(content: bytes) -> tuple[Checkpoint, Note]:
    """Read a checkpoint and believe nothing in it.

    Raises:
        PromiseBroken: It is no checkpoint (``AUDIT_CHECKPOINT_BROKEN``).
    """
    note = parse_note(content)
    checkpoint = parse_checkpoint(note.text) if note else None
    if note is None or checkpoint is None:
        raise PromiseBroken("AUDIT_CHECKPOINT_BROKEN", "this is no checkpoint of a log, or a damaged one")
    return checkpoint, note


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes | None:
    """Base64 in its one canonical spelling: two spellings of one signature would hide a changed byte."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _text(data) == text else None
