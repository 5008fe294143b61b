"""Files of decision vectors: policy unit tests that anybody can write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.errors import ConfigurationError
from validation.cases import Case, Registry
from validation.decisions import Decider, Decision
from validation.policy import Policies

COMPARED: Final = ("decision", "primary", "reasons", "advisories")
"""What a vector may expect of its decision."""


@dataclass(frozen=True)
class Vector:
    """One vector of a file.

    Attributes:
        file: Name of its file.
        vector_id: Its id; its number in the file (from 1) if it has none.
        case: The question.
        expect: What the decision is to be, key by key.
    """

    file: str
    vector_id: str
    case: Case = field(repr=False)
    expect: Mapping[str, Any] = field(repr=False)


def read_vectors(path: Path) -> list[Vector]:
    """Read a file with a ``registry`` and a list of ``vectors``.

    Raises:
        ConfigurationError: `VECTORS_UNREADABLE`: it cannot be read, or does not have that form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise _unreadable(path, "cannot be read as JSON") from None
    vectors = document.get("vectors") if isinstance(document, dict) else None
    if not isinstance(vectors, list) or not all(isinstance(vector, dict) for vector in vectors):
        raise _unreadable(path, "needs a list of objects under `vectors`")
    registry = Registry.from_json(document.get("registry"))
    return [_vector(path, number, vector, registry) for number, vector in enumerate(vectors, 1)]


def _vector(path: Path, number: int, vector: Mapping[str, Any], registry: Registry) -> Vector:
    expect = vector.get("expect", {})
    if not isinstance(expect, dict):
        raise _unreadable(path, f"vector {number}: `expect` must be an object")
    case = Case(
        item=vector.get("item"),
        records=vector.get("records", []),
        registry=registry,
        as_of=vector.get("as_of"),
        shorthand=True,
    )
    return Vector(path.name, str(vector.get("id", number)), case, expect)


def _unreadable(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError("VECTORS_UNREADABLE", f"the file of vectors {path} {what}")


def decide_vectors(vectors: Sequence[Vector], policies: Policies) -> list[Decision]:
    """Decide all vectors in one batch, under the suites that a release runs through."""
    return Decider(policies).decide_batch([vector.case for vector in vectors])


def as_compared(decision: Decision) -> dict[str, Any]:
    """What vectors compare of a decision, as JSON values."""
    return {
        "decision": decision.decision,
        "primary": decision.primary,
        "reasons": list(decision.reasons),
        "advisories": list(decision.advisories),
    }


def differences(vector: Vector, decision: Decision) -> Iterator[str]:
    """A line for each key of ``expect`` that the decision does not meet."""
    got = as_compared(decision)
    for name, wanted in vector.expect.items():
        if name not in COMPARED:
            yield f"{vector.vector_id}: {name} is nothing that a decision has"
        elif wanted != got[name]:
            yield f"{vector.vector_id}: {name} is {json.dumps(got[name])}, not {json.dumps(wanted)}"
