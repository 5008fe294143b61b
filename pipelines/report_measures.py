"""What a store shows of each measure against risks: figures of the report's other parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.consent_sets import DERIVED_KINDS, ROOTS_BY_KIND
from validation.report_controls import Controls, Separation
from validation.report_decided import Quarantine, Withdrawals
from validation.report_parts import Collected

_DERIVED: Final = {*DERIVED_KINDS, *ROOTS_BY_KIND, "summary", "translation"}
"""Kinds that are made from other content; some of them are consented to as content of their own."""


def measures_shown(
    seen: Collected, sealed: Quarantine, gone: Withdrawals, apart: Separation, control: Controls
) -> Mapping[str, Mapping[str, int]]:
    """Counts by measure (see ``report_words.MEASURES``) and by what was counted."""
    opened = sum(one.openings for one in sealed.openings if one.outcome == "opened")
    return {
        "sealed": {
            "records of unknown types": apart.unknown_types,
            "records that could not be read": apart.rejected,
            "values of fields that were unknown or did not fit": sum(
                one.count for one in apart.values if one.name != "dropped"
            ),
        },
        "derived": {
            "items sealed of captions, transcripts, translations, summaries, embeddings and the like": sum(
                one.items for one in seen.content if one.kind in _DERIVED
            )
        },
        "apart": {
            "sealed pieces": sum(one.count for one in sealed.schemes),
            "openings, each by a signed decision": opened,
        },
        "reconciled": {"runs that reconcile": seen.reconciled_runs, "runs": seen.runs},
        "suites": {
            "classes judged (items of a meeting with the same facts)": max(
                (one.decisions for one in control.suites), default=0
            ),
            "reasons that were given": control.exercised,
        },
        "written": {"released rows judged": control.second_suite_rows},
        "stopped": {"trusted noes": gone.trusted, "noes that were passed over": gone.passed_over},
        "erased": {
            "items destroyed": gone.keys_destroyed,
            "events of which something was erased": gone.events_erased,
        },
    }
