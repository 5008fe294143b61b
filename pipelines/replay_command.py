"""``cofferdam replay``: make a past decision again and show that it is the same, or what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import PatientCommand, PlaceType
from pipelines.quiet_start import quiet_start
from schemas.errors import EXIT_PROMISE_BROKEN

if TYPE_CHECKING:
    from transforms.replay import PastDecision, Replay

_PATH = click.Path(path_type=Path)
_MISSING = {
    "OTHER_RECORDS": "the records do not begin with those of then: some are not given, or came in between",
    "INPUTS_REWRITTEN": "files that the decision read were written anew since, by an erasure for example",
    "ITEMS_ERASED": "items that the decision was about were erased since",
    "ITEMS_GONE": "items that the decision was about are not there, and no tombstone says why",
}


@click.command(name="replay", cls=PatientCommand)
@click.option("--decision", "decision_id", required=True, metavar="ID", help="The decision's id.")
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release.")
@click.option(
    "--consents",
    required=True,
    multiple=True,
    type=PlaceType(),
    metavar="PATH",
    help="Signed consent records: a file or a folder; may be given several times.",
)
@click.option(
    "--registry", required=True, type=PlaceType(), metavar="DIR", help="The registry, as it was then."
)
@click.option("--case-id", metavar="ID", help="The case, if the decision was for a single case.")
@click.option("--approver", "approvers", multiple=True, metavar="ID", help="Who approved the case.")
@click.option("--export-to", metavar="PLACE", help="Where the content was to be taken.")
@click.option("--transfer-mechanism", metavar="NAME", help="What covers that under the law.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def replay(
    context: click.Context, /, decision_id: str, store: str, keys: Path, as_json: bool, **options: Any
) -> None:
    """Make a past decision again from what the store, the records and the registry hold now, and compare.

    A decision's id is a digest of everything that went into it and came out of it. If the decision that is
    made now has the same id, it is the same. Nothing is opened, and nothing is written.

    Exit codes: 0 it is the same; 1 it differs, and what of its inputs is missing is named; 2 usage, no such
    decision, or a registry or policies other than then; 3 keys, records or the store cannot be read.
    """
    with reported():
        past, again = _replayed(decision_id.lower(), store, keys, options)
    told = _told(past, again)
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(_lines(told)))
    if not again.same:
        context.exit(EXIT_PROMISE_BROKEN)


def _replayed(
    decision_id: str, store: str, keys_path: Path, options: Mapping[str, Any]
) -> tuple[PastDecision, Replay]:
    from pipelines.consent_registry import open_registry
    from transforms.keys import load_release_keys
    from transforms.pseudonyms import join_pseudonyms
    from transforms.release_rules import ReleaseRequest, make_rules

    with quiet_start():
        from transforms.replay import find_decision, replay_decision
    from transforms.store import Store

    opened = Store.open(store)
    past = find_decision(opened, decision_id)
    known = open_registry(options["registry"])
    pseudonyms = join_pseudonyms(load_release_keys(keys_path))
    request = ReleaseRequest(
        purposes=(past.row["purpose"],),
        recipient=past.row["recipient"],
        as_of=past.ledger["as_of"],
        case_id=options["case_id"],
        approvers=options["approvers"],
        export_to=options["export_to"],
        transfer_mechanism=options["transfer_mechanism"],
    )
    allowed = past.ledger["records"]["test_keys_allowed"]
    rules = make_rules(request, known.registry, known.policies, pseudonyms, allow_test_keys=allowed)
    consents = [str(path) for path in options["consents"]]
    return past, replay_decision(opened, past, rules, known.registry, pseudonyms, consents)


def _told(past: PastDecision, again: Replay) -> dict[str, Any]:
    made = again.again
    return {
        "decision_id": again.decision_id,
        "run_id": past.row["run_id"],
        "as_of": past.ledger["as_of"],
        "purpose": past.row["purpose"],
        "recipient": past.row["recipient"],
        "same": again.same,
        "then": _outcome(past.row),
        "now": None if made is None else _outcome(made),
        "differs_in": list(again.differences),
        "missing": dict(again.missing),
    }


def _outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("decision", "primary", "reasons", "people")}


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    then, now = told["then"], told["now"]
    yield f"Decision {told['decision_id']} of run {told['run_id']}, as of {told['as_of']}"
    yield f"  for {told['purpose']} to {told['recipient']}: {_words(then)}"
    if told["same"]:
        yield "  Made again, it is the same."
    elif now is None:
        yield "  It cannot be made again: nothing is left of what it was about."
    else:
        yield f"  Made again, it DIFFERS: {_words(now)}"
        yield f"  Different: {', '.join(told['differs_in'])}"
    for code, number in told["missing"].items():
        yield f"  {code} ({number}): {_MISSING[code]}"


def _words(outcome: Mapping[str, Any]) -> str:
    return f"{outcome['decision']}, {outcome['primary']}, {outcome['people']} people"
