from __future__ import annotations

import hashlib
import hmac
import ipaddress
import pickle
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms import pseudonyms
from transforms.chunked_encryption import length_prefixed
from transforms.keys import IngestKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.pseudonyms import (
    Pseudonymiser,
    canonical_value,
    join_pseudonyms,
    telemetry_pseudonyms,
    truncate_ip,
)

ROOT = bytes(range(32))
USER = "zoom.user_id"
TEXTS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    create_key_directory(path, created=date(2026, 2, 3))
    return path


@pytest.fixture(scope="module")
def ingest(directory: Path) -> IngestKeys:
    return load_ingest_keys(directory / "ingest")


def fixed(root: bytes = ROOT, purpose: str = "telemetry") -> Pseudonymiser:
    return Pseudonymiser(root, purpose, lambda: fixed(root, purpose))


def second_implementation(root: bytes, purpose: str, tenant: str | None, kind: str, value: str) -> str:
    """HKDF-SHA256 (RFC 5869) and HMAC-SHA256 once more, from the RFC alone."""
    named = () if tenant is None else (tenant.encode(),)
    info = length_prefixed(b"cofferdam pseudonym v1", purpose.encode(), *named)
    pseudorandom = hmac.digest(bytes(32), root, "sha256")
    key = hmac.digest(pseudorandom, info + b"\x01", "sha256")
    return hmac.new(key, length_prefixed(kind.encode(), value.encode()), hashlib.sha256).hexdigest()[:32]


@pytest.mark.parametrize("tenant", [None, "", "acme"])
@pytest.mark.parametrize("value", ["", "u1", "Zoë"])
def test_pseudonyms_are_what_a_second_implementation_makes(tenant: str | None, value: str) -> None:
    expected = second_implementation(ROOT, "telemetry", tenant, USER, value)
    assert fixed().pseudonym(value, identifier_type=USER, tenant=tenant) == expected
    assert len(expected) == 32


@settings(max_examples=30)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=15))
def test_a_batch_gives_what_one_by_one_gives(rows: list[tuple[str | None, str | None]]) -> None:
    tenants, values = [row[0] for row in rows], [row[1] for row in rows]
    expected = [
        None if value is None else fixed().pseudonym(value, identifier_type=USER, tenant=tenant)
        for tenant, value in rows
    ]
    text = pa.string()
    for given_values in (values, pa.array(values, text), pa.array(values, text).dictionary_encode()):
        for given_tenants in (tenants, pa.array(tenants, text), pa.chunked_array([pa.array(tenants, text)])):
            result = fixed().pseudonymise(given_values, identifier_type=USER, tenants=given_tenants)
            assert (result.type, result.to_pylist()) == (text, expected)


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_one_tenant_for_all_is_that_tenant_for_each(tenant: str | None) -> None:
    values = ["a", None, "b", "a"]
    whole = fixed().pseudonymise(values, identifier_type=USER, tenants=tenant)
    each = fixed().pseudonymise(values, identifier_type=USER, tenants=[tenant] * 4)
    assert whole.to_pylist() == each.to_pylist()
    assert whole[0] == whole[3] != whole[2]


def test_everything_that_should_separate_separates() -> None:
    made = {
        Pseudonymiser(root, purpose, fixed).pseudonym(value, identifier_type=kind, tenant=tenant)
        for root in (ROOT, bytes(32))
        for purpose in ("telemetry", "join")
        for tenant in (None, "", "a", "b")
        for kind in (USER, "email", "tenant")
        for value in ("a", "b", "")
    }
    assert len(made) == 2 * 2 * 4 * 3 * 3


def test_type_and_value_do_not_run_into_each_other() -> None:
    assert fixed().pseudonym("bc", identifier_type="a") != fixed().pseudonym("c", identifier_type="ab")


@pytest.mark.parametrize("values", [[], [None], [None, None], pa.nulls(2), pa.array([], pa.string())])
def test_empty_and_null_batches(values: Any) -> None:
    for tenants in (None, [None] * len(values)):
        result = fixed().pseudonymise(values, identifier_type=USER, tenants=tenants)
        assert (result.type, result.to_pylist()) == (pa.string(), [None] * len(values))


def test_whole_numbers_count_as_their_text() -> None:
    expected = fixed().pseudonymise(["7", None, "x"], identifier_type=USER).to_pylist()
    assert fixed().pseudonymise([7, None, "x"], identifier_type=USER).to_pylist() == expected
    assert fixed().pseudonymise(pa.array([7, None]), identifier_type=USER).to_pylist() == expected[:2]


@pytest.mark.parametrize("value", [True, 1.5, object(), ["canary"], {"canary": 1}, "canary\ud800"])
def test_other_values_are_refused_without_being_quoted(value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        fixed().pseudonymise(["a", value], identifier_type=USER)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_tenants_must_be_as_many_as_values() -> None:
    with pytest.raises(ValueError, match="one tenant for each value"):
        fixed().pseudonymise(["a", "b"], identifier_type=USER, tenants=["t"])


@pytest.mark.parametrize("length", [0, 16, 31])
def test_short_roots_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        fixed(bytes(length))


def test_the_memory_of_repeats_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_MEMO_ENTRIES", 10)
    small = fixed()
    values = [f"user{number % 37}" for number in range(500)]
    result = small.pseudonymise(values, identifier_type=USER)
    for value in values:
        small.pseudonym(value, identifier_type=USER)
    assert len(small._recent) <= 10 >= len(small._older)
    assert result.to_pylist() == [fixed().pseudonym(value, identifier_type=USER) for value in values]


def test_repeats_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    computed = Pseudonymiser._computed

    def counted(self: Pseudonymiser, kind: str, tenant: str | int | None, value: str | int | None) -> str:
        calls.append(kind)
        return computed(self, kind, tenant, value)

    monkeypatch.setattr(Pseudonymiser, "_computed", counted)
    made = fixed()
    for _ in range(3):
        made.pseudonymise(["a", "b", None] * 100, identifier_type=USER, tenants=["t", "t", "t"] * 100)
    assert len(calls) == 2


def test_many_tenants_do_not_pile_up_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_TENANT_KEYS", 5)
    made = fixed()
    made.pseudonymise(["a"] * 50, identifier_type=USER, tenants=[str(number) for number in range(50)])
    assert len(made._tenant_keys) <= 5


def test_joins_and_telemetry_never_meet(ingest: IngestKeys, directory: Path) -> None:
    telemetry, join = telemetry_pseudonyms(ingest), join_pseudonyms(ingest)
    assert telemetry.pseudonym("a", identifier_type=USER) != join.pseudonym("a", identifier_type=USER)
    released = join_pseudonyms(load_release_keys(directory / "release"))
    assert released.pseudonym("a", identifier_type=USER) == join.pseudonym("a", identifier_type=USER)


def test_an_epoch_unlinks_and_its_root_links_again(directory: Path, tmp_path: Path) -> None:
    create_key_directory(tmp_path / "next", created=date(2026, 3, 1), continues=directory)
    old, new = load_ingest_keys(directory / "ingest"), load_ingest_keys(tmp_path / "next" / "ingest")
    before = telemetry_pseudonyms(old).pseudonym("a", identifier_type=USER)
    assert telemetry_pseudonyms(new).pseudonym("a", identifier_type=USER) != before
    again = telemetry_pseudonyms(new, epoch_id=old.epoch_id)
    assert again.pseudonym("a", identifier_type=USER) == before


def test_pickles_and_reprs_carry_no_key(ingest: IngestKeys) -> None:
    for made in (telemetry_pseudonyms(ingest), join_pseudonyms(ingest)):
        expected = made.pseudonym("canary", identifier_type=USER, tenant="t")
        pickled = pickle.dumps(made)
        for secret in (ingest.join_key, ingest.epoch_roots[ingest.epoch_id], b"canary"):
            assert secret not in pickled
        assert "canary" not in repr(made)
        copy = pickle.loads(pickled)  # noqa: S301 - our own bytes
        assert copy.pseudonym("canary", identifier_type=USER, tenant="t") == expected


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("email", "Ada@Example.org ", "ada@example.ORG", True),
        ("email", "STRASSE@x.de", "straße@x.de", True),
        ("email", "e\u0301@x.org", "\u00e9@x.org", True),
        (USER, "Zoe\u0308", "Zo\u00eb", True),
        (USER, "abc", "ABC", False),
        (USER, "abc", " abc", False),
        (USER, "ﬁ", "fi", False),
    ],
)
def test_spellings_of_one_identifier(kind: str, one: str, other: str, same: bool) -> None:
    made = fixed()
    assert (made.pseudonym(one, identifier_type=kind) == made.pseudonym(other, identifier_type=kind)) is same


@example("\u03b1\u0345\u0300", "email")
@example("\u1fb2\u0301", "email")
@given(st.text(), st.sampled_from(["email", USER]))
def test_canonical_values_are_stable_and_normal(value: str, kind: str) -> None:
    once = canonical_value(value, kind)
    assert unicodedata.is_normalized("NFC", once)
    assert canonical_value(once, kind) == once


# --- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("0.0.0.1", "0.0.0.0/24"),
        ("255.255.255.255", "255.255.255.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:DB8:0001::", "2001:db8:1::/48"),
        ("::1", "::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("::ffff:cb00:714d", "203.0.113.0/24"),
        ("::203.0.113.77", "::/48"),
        ("64:ff9b::203.0.113.77", "64:ff9b::/48"),
        ("2002:cb00:714d::1", "203.0.113.0/24"),
    ],
)
def test_addresses_are_cut_to_their_network(text: str, network: str) -> None:
    assert truncate_ip(text) == network


NO_ADDRESSES = (
    *("", " ", "localhost", "203.0.113", "203.0.113.077", "203.0.113.256", "203.0.113.7 ", "1"),
    *("203.0.113.7/32", "203.0.113.7:443", "[::1]", "::1%a secret name", ":::", "2001:db8::g"),
    *("\u0662\u0660\u0663.0.113.7", "Ada Lovelace"),
)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_left_to_the_caller(text: str) -> None:
    assert truncate_ip(text) is None


@given(st.ip_addresses())
def test_no_host_part_survives(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    network = truncate_ip(str(address))
    assert network is not None
    assert ipaddress.ip_network(network).prefixlen in (24, 48)
    assert truncate_ip(network.partition("/")[0]) is not None


@given(st.text())
def test_any_text_is_cut_or_refused_without_an_error(text: str) -> None:
    assert truncate_ip(text) is None or "/" in str(truncate_ip(text))
