"""The Merkle tree of the audit log: hashes, roots, proofs and their checks (RFC 6962, RFC 9162).

A tree is asked for through ``Nodes``: ``node(height, index)`` is the hash over the entries from
``index * 2**height`` to ``(index + 1) * 2**height``. Where the hashes come from, a list in memory or tiles on
a disk, makes no difference to a proof.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Protocol

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class Nodes(Protocol):
    """Where the hashes of complete subtrees come from."""

    def node(self, height: int, index: int) -> bytes:
        """Hash over the ``2**height`` entries from ``index * 2**height`` on."""


class HashList:
    """The tree over leaf hashes that are in memory (implements ``Nodes``)."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([node_hash(left, right) for left, right in pairs])

    def node(self, height: int, index: int) -> bytes:
        """Hash of a complete subtree."""
        return self._levels[height][index]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes; level by level, with a last odd hash going up as it is."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        level = above + level[len(level) & ~1 :]
    return level[0]


def range_hash(nodes: Nodes, start: int, end: int) -> bytes:
    """The hash over entries ``start`` to ``end``, as a proof names it: MTH(D[start:end]) of RFC 6962.

    Args:
        nodes: The tree.
        start: First entry; a multiple of the largest power of two below ``end - start``.
        end: One past the last entry.
    """
    if start == end:
        return EMPTY_ROOT
    size = end - start
    height = size.bit_length() - 1
    if size == 1 << height:
        return nodes.node(height, start >> height)
    middle = start + _left_size(size)
    return node_hash(range_hash(nodes, start, middle), range_hash(nodes, middle, end))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The hashes that lead from an entry to the root of the first ``size`` entries (RFC 6962 2.1.1).

    Raises:
        ValueError: There is no such entry among them.
    """
    if not 0 <= index < size:
        raise ValueError("an entry that is not in the tree has no proof")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_size(end - start)
        if index < middle:
            proof.append(range_hash(nodes, middle, end))
            end = middle
        else:
            proof.append(range_hash(nodes, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """The hashes that show that a tree of ``old`` entries begins one of ``new`` (RFC 6962 2.1.2).

    Raises:
        ValueError: ``old`` is not between 1 and ``new``.
    """
    if not 1 <= old <= new:
        raise ValueError("only a tree that is not empty and not larger can be shown to begin another")
    proof: list[bytes] = []
    start, end = 0, new
    while old != end:
        middle = start + _left_size(end - start)
        if old <= middle:
            proof.append(range_hash(nodes, middle, end))
            end = middle
        else:
            proof.append(range_hash(nodes, start, middle))
            start = middle
    if start:
        proof.append(range_hash(nodes, start, end))
    return proof[::-1]


def proves_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof leads from a leaf hash to a root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found, root)


def proves_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether a proof shows that the old tree begins the new one (RFC 9162 2.1.4.2)."""
    if not 1 <= old <= new:
        return False
    if old == new:
        return not proof and hmac.compare_digest(old_root, new_root)
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(first, old_root) and hmac.compare_digest(second, new_root)


def _left_size(size: int) -> int:
    """The largest power of two below ``size``: how many entries the left subtree has."""
    return 1 << ((size - 1).bit_length() - 1)
