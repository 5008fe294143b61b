"""The detectors of the leak scan: planted leaks in many spellings are hits, what telemetry holds is none."""

from __future__ import annotations

import ast
import base64
import bz2
import gzip
import json
import secrets
import time
import urllib.parse
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import validation.leak_checksums
import validation.leak_detectors
from schemas.contract import load_contracts
from validation.leak_detectors import DETECTORS, detect

LEAKS = {
    "chat line": "we should move the launch to Friday",
    "transcript": "Ada: I think that the numbers are not good enough for the board",
    "german": "Wir haben die Entscheidung auf Montag verschoben",
    "japanese": "\u4f1a\u8b70\u306e\u5185\u5bb9\u306b\u3064\u3044\u3066\u8a71\u3057\u305f",
    "russian": "\u043c\u044b \u0440\u0435\u0448\u0438\u043b\u0438 \u043d\u0435 \u0439\u0442\u0438",
    "name": "Ada Lovelace",
    "e-mail": "ada.lovelace@example.com",
    "phone": "+49 151 23456789",
    "us phone": "(555) 010-9999",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "tax id": "86095742719",
    "join link": "https://example.com/j/123456?pwd=Zm9vYmFyMTIz",
    "secret": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "password": "password: tr0ub4dor",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "inside": lambda text: f"v5.1; {text} ;end",
    "base64": lambda text: _base64(text.encode()),
    "base64 after other signs": lambda text: f"x{_base64(text.encode())}",
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: _base64(_base64(text.encode()).encode()),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex in capitals": lambda text: text.encode().hex().upper(),
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "quoted": urllib.parse.quote,
    "codes": lambda text: " ".join(str(byte) for byte in text.encode()),
    "gzip in base64": lambda text: _base64(gzip.compress(text.encode())),
    "zlib in hex": lambda text: zlib.compress(text.encode()).hex(),
    "zstd in base64": lambda text: _base64(zstandard.compress(text.encode())),
    "bzip2 in base64": lambda text: _base64(bz2.compress(text.encode())),
    "invisible signs": lambda text: "\u200b".join(text),
    "json": lambda text: json.dumps({"t": text}, ensure_ascii=False),
}

MISSED = {("inside", "name"), ("json", "name")}
"""Two words with capitals are a name only where they are the whole value."""


def test_planted_leaks_are_hits() -> None:
    missed = {
        (way, kind)
        for way, spell in SPELLINGS.items()
        for kind, text in LEAKS.items()
        if not detect(spell(text))
    }
    assert missed == MISSED
    assert len(SPELLINGS) * len(LEAKS) == 288


CLEAN = (
    "5.17.11 (3835)",
    "6.2.3.48",
    "1920x1080",
    "2026-03-01 10:00:00",
    "meeting.participant_joined",
    "io.cofferdam.chat.message.sent.v1",
    "urn:cofferdam:event:chat.message:v1",
    "zoom-participant@1.1.0",
    "203.0.113.0/24",
    "2001:db8:1::/48",
    "Windows client 5.17.1",
    "English,German",
    "application/vnd.openxmlformats-officedocument",
    "RenderThreadError",
    "cmr_monthly_commitment_40",
    "t-2026-01",
    "us-allparty",
    "DE,FR,US",
    "OPUS-48",
    "0f" * 16,
    "",
)


@pytest.mark.parametrize("text", CLEAN)
def test_what_telemetry_holds_is_no_hit(text: str) -> None:
    assert detect(text) == frozenset()


def test_pseudonyms_are_no_hits() -> None:
    hits = sum(bool(detect(secrets.token_hex(16))) for _ in range(3000))
    assert hits == 0


def test_words_of_closed_sets_are_hardly_ever_hits() -> None:
    words = {str(word) for shape in load_contracts().shapes for e in shape.fields for word in e.values or ()}
    hits = {word for word in words if detect(word)}
    assert len(words) > 500
    assert len(hits) < len(words) / 20


@given(st.text(max_size=300))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert detect(text) <= set(DETECTORS)


def test_naughty_strings_can_be_looked_at(shared_folder: Path) -> None:
    for text in json.loads((shared_folder / "corpora" / "blns.json").read_bytes()):
        assert detect(text) <= set(DETECTORS)


@pytest.mark.parametrize(
    "text",
    [
        _base64(gzip.compress(b"a" * (64 << 20))),
        "a " * 200_000,
        "+" + "1 " * 100_000,
        "a@" * 100_000,
        "a." * 100_000,
        "A" * 300_000,
        "1" * 300_000,
        "https://" + "a:" * 100_000,
        "%41" * 100_000,
        "ab12" * 80_000,
    ],
    ids=["bomb", "words", "phone", "at", "dots", "letters", "digits", "address", "percent", "hex"],
)
def test_hostile_values_take_bounded_time(text: str) -> None:
    began = time.process_time()
    detect(text)
    assert time.process_time() - began < 10


def test_the_detectors_know_nothing_of_contracts() -> None:
    for module in (validation.leak_detectors, validation.leak_checksums):
        tree = ast.parse(Path(str(module.__file__)).read_bytes())
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if name and name.startswith(("schemas", "transforms"))}
