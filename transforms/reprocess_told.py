"""What is told of a reprocessing: outcomes and reasons by field of the contract, never a value or a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.classification import Protection
from schemas.contract import Field

UNKNOWN_TYPE: Final = "UNKNOWN_TYPE"
"""No contract names the type of the event."""

ERASED: Final = "ERASED"
"""An erasure took something of the event, or the reject itself."""

REPEATED: Final = "REPEATED"
"""The event was taken more than once, so that its rows cannot be told apart."""

STILL_UNKNOWN: Final = "STILL_UNKNOWN"
"""No contract names the field."""

DOES_NOT_FIT: Final = "DOES_NOT_FIT"
"""The value does not fit its field."""

AS_CLASSIFIED: Final = "AS_CLASSIFIED"
"""The contract itself says that the field is unclassified."""

PLACE_UNCLEAR: Final = "PLACE_UNCLEAR"
"""It cannot be told where in its event the value stood."""

ENVELOPE_FIELD: Final = "ENVELOPE_FIELD"
"""The field says who, where or when the event is about: its rows are made and cannot change their subject."""

NESTED_ARRAY: Final = "NESTED_ARRAY"
"""A column of a row in an array inside of another one: the row cannot be told from its neighbours."""

NO_EFFECT: Final = "NO_EFFECT"
"""The value would be lost."""

NOT_MENDABLE: Final = "NOT_MENDABLE"
"""No contract can take the reason away."""

TIME_TO_LIVE_OVER: Final = "TIME_TO_LIVE_OVER"
"""It is due to be erased by its age, and is not opened any more."""

EMPTY: Final = "empty"
TELEMETRY: Final = "telemetry"
SEALED: Final = "sealed"
DROPPED: Final = "dropped"
SEPARATED: Final = "separated"
DUPLICATE: Final = "duplicate"
STAYS: Final = "stays"


@dataclass(frozen=True)
class Told:
    """What became of values, told without any of them: a field of the contract, an outcome, a reason."""

    source: str
    event_type: str
    held_as: str
    field: str
    outcome: str
    lane: str = ""
    reason: str = ""


def becomes(entry: Field) -> tuple[str, str]:
    """Outcome and lane of a field's value."""
    if entry.protection is Protection.DROP:
        return DROPPED, entry.lane.value
    if entry.protection is Protection.SEAL:
        return f"{SEALED} {'by sibling' if entry.kind_by else entry.kind}", "content"
    return TELEMETRY, "metadata" if entry.protection is not Protection.KEEP else entry.lane.value
