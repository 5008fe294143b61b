"""``cofferdam explain``: what a reason code means, or why an item is held, and what would change that."""

from __future__ import annotations

import json
from dataclasses import asdict
from difflib import get_close_matches

import click

from pipelines.command_errors import reported
from schemas.errors import ConfigurationError
from validation.reasons import CATALOGUE, Reason
from validation.reject_reasons import REJECT_REASONS

_ITEMS_NAMED = 5

_EFFECTS = {
    "REJECT": "The item is rejected for this purpose.",
    "ERASE": "The use stops, and what was released for it is deleted.",
    "QUARANTINE": "The item stays sealed.",
    "ADVISORY": "Nothing is held because of it.",
}


@click.command(name="explain")
@click.argument("code", required=False, metavar="[CODE]")
@click.option("--store", metavar="DIR", help="The store that the item is in; with CODE, name items of it.")
@click.option("--item", metavar="ID", help="Explain the last decisions about this item.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(code: str | None, store: str | None, item: str | None, as_json: bool) -> None:
    """Explain a reason CODE, or why an item is held; without either, list all codes with a sentence each.

    With a CODE and a store, the items are named whose last decision it led. Reasons for which a run seals
    records whole, such as NOT_JSON, are explained, too.

    Exit codes: 0 explained, 2 there is no such code or item, 3 the store cannot be read.
    """
    if (store is None and item is not None) or (store is not None and (item is None) == (code is None)):
        raise click.UsageError("name a CODE, a CODE and --store, or --store and --item")
    if store is not None and item is not None:
        _explain_item(store, item, as_json)
    elif code is not None:
        _explain_code(code, store, as_json)
    elif as_json:
        click.echo(json.dumps([asdict(reason) for reason in CATALOGUE.values()], indent=2))
    else:
        click.echo("\n".join(f"{reason.code}: {reason.sentence}" for reason in CATALOGUE.values()))
        click.echo("\nReasons for which a run seals records whole:")
        click.echo("\n".join(f"{code}: {reason.sentence}" for code, reason in REJECT_REASONS.items()))


def _explain_code(code: str, store: str | None, as_json: bool) -> None:
    from pipelines.explain_item import items_led_by

    if code.upper() in REJECT_REASONS:
        _explain_reject(code.upper(), as_json)
        return
    with reported():
        reason = _reason(code)
        count, items = (0, []) if store is None else items_led_by(store, reason.code, _ITEMS_NAMED)
    led = {} if store is None else {"decisions_led": count, "items": items}
    if as_json:
        click.echo(json.dumps(asdict(reason) | led, indent=2))
        return
    click.echo(_as_text(reason))
    if store is not None:
        click.echo(f"  Here:  {_led(count, len(items))}")
        click.echo(
            "".join(f"    cofferdam explain --store {store} --item {item}\n" for item in items), nl=False
        )


def _explain_reject(code: str, as_json: bool) -> None:
    reason = REJECT_REASONS[code]
    if as_json:
        click.echo(json.dumps({"code": code, **asdict(reason)}, indent=2))
        return
    click.echo(f"{code} (a record that is sealed whole)\n  What:  {reason.sentence}")
    click.echo(f"  Means: Nothing of it is in telemetry.\n  Cure:  {reason.cure}")


def _led(count: int, named: int) -> str:
    decisions = "1 decision" if count == 1 else f"{count:,} decisions"
    among = f"the first {named} about" if named < count else "about"
    return f"it led {decisions} of the last release" + (f", {among}:" if named else "")


def _explain_item(store: str, item: str, as_json: bool) -> None:
    from pipelines.explain_item import as_text, explain_item

    with reported():
        explained = explain_item(store, item.lower())
    click.echo(json.dumps(explained, indent=2) if as_json else as_text(explained))


def _reason(code: str) -> Reason:
    try:
        return CATALOGUE[code.upper()]
    except KeyError:
        near = get_close_matches(code.upper(), [*CATALOGUE, *REJECT_REASONS], 1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"there is no such reason code; {hint}`cofferdam explain` lists all"
        raise ConfigurationError("REASON_UNKNOWN", message) from None


def _as_text(reason: Reason) -> str:
    lines = (
        f"{reason.code} (rank {reason.rank}, {reason.action})",
        f"  What:  {reason.sentence}",
        f"  Means: {_EFFECTS[reason.action]}",
        f"  Law:   {reason.hook}",
        f"  Cure:  {reason.cure}",
    )
    return "\n".join(lines)
