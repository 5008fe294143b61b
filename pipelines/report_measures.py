"""What a store shows of each measure against risks: figures of the report's other parts."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.consent_sets import DERIVED_KINDS
from validation.report_controls import Controls, Separation
from validation.report_decided import Quarantine, Withdrawals
from validation.report_parts import Collected


def measures_shown(
    seen: Collected, sealed: Quarantine, gone: Withdrawals, apart: Separation, control: Controls
) -> Mapping[str, Mapping[str, int]]:
    """Counts by measure (see ``report_words.MEASURES``) and by what was counted."""
    opened = sum(one.openings for one in sealed.openings if one.outcome == "opened")
    return {
        "sealed": {
            "records of unknown types": apart.unknown_types,
            "records that could not be read": apart.rejected,
            "fields unknown or that did not fit": sum(
                one.values for one in apart.found if one.what != "dropped"
            ),
        },
        "derived": {
            "derived items sealed": sum(one.items for one in seen.content if one.kind in DERIVED_KINDS)
        },
        "apart": {
            "sealed blobs": sum(one.count for one in sealed.schemes),
            "openings, each by a signed decision": opened,
        },
        "reconciled": {"runs that reconcile": seen.reconciled_runs, "runs": seen.runs},
        "suites": {
            "classes of items judged": max((one.decisions for one in control.suites), default=0),
            "reasons that were given": control.exercised,
        },
        "written": {"released rows judged": control.second_suite_rows},
        "stopped": {"trusted noes": gone.trusted, "noes that were passed over": gone.passed_over},
        "erased": {
            "items destroyed": gone.keys_destroyed,
            "events of which something was erased": gone.events_erased,
        },
    }
