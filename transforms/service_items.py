"""Scopes of telemetry as items of the rules: what they have besides what every item has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from transforms.decision_ids import instant_text
from transforms.presence import ItemClass
from validation.item_rules import SERVICE

MEASURED: Final = "quality_stat"
"""Kind of telemetry without which a meeting cannot be carried; all other diagnostics are optional."""

WHO_AND_WHEN: Final = "call_detail"
"""Kind of the metadata that every row of telemetry holds."""

UNLINKED: Final = "unlinked"
"""Stands for the tenant and meeting of telemetry of which nobody can tell whose it is."""


def service_fields(one: ItemClass, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a scope of telemetry has besides: its contracts let through nothing but closed columns.

    Every row says who took part and when, so that each has communications metadata among its roots. Grants
    count for rows of before only if they say so, and nobody knows here which row is the first.
    """
    return {
        "lane": SERVICE,
        "roots": sorted({one.kind, WHO_AND_WHEN}),
        "unknown_fields": [],
        "opaque": False,
        "content_hit": False,
        "diag": "required" if one.kind == MEASURED else "optional",
        "recorded_end": instant_text(one.recorded_end or 0),
        "tenant": fields["tenant"] or UNLINKED,
        "meeting": fields["meeting"] or UNLINKED,
    }
