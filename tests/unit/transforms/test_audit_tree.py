"""The tree is that of RFC 6962: published vectors, a recursive reference, and proofs between all sizes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.audit_tree import (
    EMPTY_ROOT,
    HashList,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    range_hash,
    root_of,
)

VECTOR_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The leaves of Certificate Transparency's reference tests (google/certificate-transparency)."""

VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def reference(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, word by word."""
    n = len(entries)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + reference(entries[:k]) + reference(entries[k:])).digest()


def reference_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 2.1.1."""
    n = len(entries)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*reference_path(m, entries[:k]), reference(entries[k:])]
    return [*reference_path(m - k, entries[k:]), reference(entries[:k])]


def reference_subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 2.1.2."""
    n = len(entries)
    if m == n:
        return [] if whole else [reference(entries)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*reference_subproof(m, entries[:k], whole), reference(entries[k:])]
    return [*reference_subproof(m - k, entries[k:], False), reference(entries[:k])]


def entries_of(size: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(size)]


def tree_of(entries: list[bytes]) -> HashList:
    return HashList([leaf_hash(entry) for entry in entries])


def test_published_roots_are_ours() -> None:
    for size, root in enumerate(VECTOR_ROOTS, start=1):
        assert root_of(map(leaf_hash, VECTOR_ENTRIES[:size])).hex() == root
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([]) == range_hash(HashList([]), 0, 0) == EMPTY_ROOT


def test_published_proofs_are_ours() -> None:
    tree = tree_of(VECTOR_ENTRIES)
    assert [step.hex() for step in inclusion_proof(tree, 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [step.hex() for step in consistency_proof(tree, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", range(1, 41))
def test_every_proof_is_the_references_and_proves(size: int) -> None:
    entries = entries_of(size)
    tree, root = tree_of(entries), reference(entries)
    assert range_hash(tree, 0, size) == root_of(map(leaf_hash, entries)) == root
    for index in range(size):
        proof = inclusion_proof(tree, index, size)
        assert proof == reference_path(index, entries)
        assert proves_inclusion(leaf_hash(entries[index]), index, size, proof, root)
    for old in range(1, size + 1):
        proof = consistency_proof(tree, old, size)
        assert proof == reference_subproof(old, entries, True)
        assert proves_consistency(old, size, proof, reference(entries[:old]), root)


@given(st.integers(1, 300), st.data())
def test_a_proof_proves_nothing_else(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    tree, root = tree_of(entries), reference(entries)
    index = data.draw(st.integers(0, size - 1))
    proof, leaf = inclusion_proof(tree, index, size), leaf_hash(entries[index])
    assert not proves_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not proves_inclusion(leaf, index, size, proof, leaf_hash(b"other"))
    assert not proves_inclusion(leaf, index, size, [*proof, root], root)
    assert not proves_inclusion(leaf, size, size, proof, root)
    assert size == 1 or not proves_inclusion(leaf, index, size, proof[:-1], root)
    other = data.draw(st.integers(0, size - 1))
    assert other == index or not proves_inclusion(leaf, other, size, proof, root)


@given(st.integers(1, 300), st.data())
def test_a_changed_past_has_no_proof(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    old = data.draw(st.integers(1, size))
    old_root = reference(entries[:old])
    changed = list(entries)
    changed[data.draw(st.integers(0, old - 1))] = b"changed"
    tree = tree_of(changed)
    proof = consistency_proof(tree, old, size)
    assert not proves_consistency(old, size, proof, old_root, reference(changed))
    honest = consistency_proof(tree_of(entries), old, size)
    assert not proves_consistency(old, size, [*honest, old_root], old_root, reference(entries))
    for place in range(len(honest)):
        spoilt = [*honest[:place], leaf_hash(b"x"), *honest[place + 1 :]]
        assert not proves_consistency(old, size, spoilt, old_root, reference(entries))


def test_what_has_no_proof_is_refused() -> None:
    tree = tree_of(entries_of(5))
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="no proof"):
            inclusion_proof(tree, index, size)
    for old, new in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="begin another"):
            consistency_proof(tree, old, new)
        assert not proves_consistency(old, new, [], EMPTY_ROOT, EMPTY_ROOT)
    root = reference(entries_of(5))
    assert not proves_consistency(5, 5, [root], root, root)
    assert not proves_consistency(3, 5, [], root, root)
