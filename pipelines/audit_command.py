"""``cofferdam audit``: verify a store's log of what was done, show it, print its checkpoint and keys."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import click

from pipelines.audit_keys import log_keys, named_verifiers, read_kept
from pipelines.audit_report import checkpoint_of, entries_of_log, entry_line, verification_text
from pipelines.command_errors import reported
from pipelines.quiet_start import quiet_start
from schemas.errors import EXIT_PROMISE_BROKEN, ConfigurationError

_PATH = click.Path(path_type=Path)
_STORE = click.option("--store", required=True, metavar="DIR", help="The store.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(name="audit")
def audit() -> None:
    """Verify and read the log of everything that was done to a store.

    Every run, decision, release, opening, erasure and change of keys or policies is an entry in a Merkle tree
    whose root is signed. The formats are public (C2SP tlog-tiles, signed notes), so that other tools verify
    the log too.
    """


@audit.command(name="verify")
@_STORE
@click.option(
    "--checkpoint",
    "kept",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A checkpoint that you kept: the log must continue it. May be given several times.",
)
@click.option(
    "--verifier-key",
    "verifier_keys",
    multiple=True,
    metavar="KEY|FILE",
    help="A key that may sign, as `cofferdam audit key` printed it when you trusted the store, or a file of "
    "such. Without it and --keys, the store's own word is taken.",
)
@click.option(
    "--keys", "directories", multiple=True, type=_PATH, metavar="DIR", help="Key directories that may sign."
)
@click.option(
    "--decision",
    "decisions",
    multiple=True,
    metavar="ID",
    help="The log must hold this decision; prints the proof with --json. May be given several times.",
)
@click.option(
    "--tombstone",
    "tombstones",
    multiple=True,
    metavar="ITEM",
    help="The log must hold that this item was destroyed. May be given several times.",
)
@_JSON
@click.pass_context
def verify(
    context: click.Context,
    store: str,
    kept: tuple[Path, ...],
    verifier_keys: tuple[str, ...],
    directories: tuple[Path, ...],
    decisions: tuple[str, ...],
    tombstones: tuple[str, ...],
    as_json: bool,
) -> None:
    """Verify the log, and the store against it.

    Computes every hash anew; checks signatures, that each commit has its entries and each entry its commit,
    that every file is the one its manifest names, and that the log continues the checkpoints that you kept.

    Exit codes: 0 everything holds, 1 something does not, 2 usage or no log, 3 keys or store cannot be read.
    """
    from transforms.audit_verify import summary_of, verify_log

    with reported():
        verifiers = named_verifiers(store, verifier_keys, directories)
        earlier = [read_kept(path) for path in kept]
        result = verify_log(store, verifiers, earlier, [*decisions, *tombstones])
    click.echo(json.dumps(summary_of(result), indent=2) if as_json else verification_text(result))
    if not result.holds:
        context.exit(EXIT_PROMISE_BROKEN)


@audit.command(name="show")
@_STORE
@click.option("--type", "kinds", multiple=True, metavar="TYPE", help="Only entries of this type.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N of them.")
@_JSON
def show(store: str, kinds: tuple[str, ...], last: int | None, as_json: bool) -> None:
    """List the log's entries; verifies nothing.

    Exit codes: 0 shown, 1 the log is damaged, 2 no log, 3 the store cannot be read.
    """
    with reported():
        types: set[str] = set()
        listed: deque[tuple[int, dict[str, Any]]] = deque(maxlen=last)
        for place, entry in entries_of_log(store):
            types.add(entry["type"])
            if not kinds or entry["type"] in kinds:
                listed.append((place, entry))
    if strange := sorted(set(kinds) - types):
        click.echo(
            f"Note: no entry is of type {', '.join(strange)}; there are {', '.join(sorted(types))}", err=True
        )
    if as_json:
        click.echo(json.dumps([{"index": place, **entry} for place, entry in listed], indent=2))
        return
    for place, entry in listed:
        click.echo(entry_line(place, entry))


@audit.command(name="checkpoint")
@_STORE
@_JSON
def checkpoint(store: str, as_json: bool) -> None:
    """Print the signed checkpoint, to be kept where whoever runs the store cannot change it.

    Exit codes: 0 printed, 1 it is damaged, 2 no log, 3 the store cannot be read.
    """
    from transforms.audit_log import no_log
    from transforms.store import Store

    with reported():
        said = checkpoint_of(store)
        if said is None:
            Store.open(store)  # says so, if there is no store either
            raise no_log()
    click.echo(json.dumps(said, indent=2) if as_json else said["note"], nl=as_json)


@audit.command(name="key")
@_STORE
@click.option(
    "--keys",
    "directories",
    multiple=True,
    type=_PATH,
    metavar="DIR",
    help="Key directories whose public keys to print, instead of those that the store names.",
)
@_JSON
def key(store: str, directories: tuple[Path, ...], as_json: bool) -> None:
    """Print the public keys that sign the log, one a line, as Go's note package reads them.

    Exit codes: 0 printed, 1 the store's list is damaged, 2 no log, 3 keys or store cannot be read.
    """
    from transforms.audit_log import no_log, stated_verifiers
    from transforms.store import Store

    with reported():
        found = named_verifiers(store, (), directories)
        if not directories:
            found = stated_verifiers(Store.open(store).files_of_store)
        if not found:
            raise no_log()
    texts = [str(each) for each in found]
    click.echo(json.dumps({"verifiers": texts}, indent=2) if as_json else "\n".join(texts))


@audit.command(name="merge")
@_STORE
@click.option("--keys", "directory", required=True, type=_PATH, metavar="DIR", help="The side that signs.")
@_JSON
def merge(store: str, directory: Path, as_json: bool) -> None:
    """Add to the log what is not in it yet; every run does this, too, when it begins and when it ends.

    Exit codes: 0 the log holds everything, 1 the log is not what it was, 2 usage, or nothing was committed
    yet, 3 keys or store cannot be used.
    """
    with reported():
        said: dict[str, Any] | None = _merged(store, directory)
    assert said is not None  # noqa: S101 - a store without a commit has raised
    click.echo(json.dumps(said, indent=2) if as_json else said["note"], nl=as_json)


def _merged(store: str, directory: Path) -> dict[str, Any] | None:
    with quiet_start():
        from transforms.audit_append import append_to_log
    from transforms.audit_log import no_log
    from transforms.store import Store

    sides = log_keys(directory)
    if len(sides) != 1:
        raise ConfigurationError(
            "AUDIT_TWO_SIDES", f"{directory} holds both sides; name {directory}/ingest or {directory}/release"
        )
    opened = Store.open(store)
    if not opened.version:
        raise no_log()
    with opened.writing("audit-merge"):
        append_to_log(None, store, sides[0])
    return checkpoint_of(store)
