"""``cofferdam keys``: make and show key directories, without showing a key; check and rotate keys."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import store_path
from schemas.errors import EXIT_PROMISE_BROKEN, ConfigurationError, InfrastructureFault
from transforms.key_destruction import destroy_key, finish_destruction
from transforms.key_files import DESCRIPTION_FILE, EPOCH_ROOT, INGEST, RELEASE, describe_keys
from transforms.keys import ServiceKey, create_key_directory

_PATH = click.Path(path_type=Path)


@click.group(name="keys")
def keys() -> None:
    """Make and inspect key directories, check and rotate a store's keys.

    A key directory has two sides. DIR/ingest can seal content and make pseudonyms, and can open nothing.
    DIR/release can open what was sealed. Move DIR/release to where only the release side can read it.
    """


@keys.command(name="init")
@click.argument("directory", type=_PATH, metavar="DIR")
@click.option(
    "--continues",
    type=_PATH,
    metavar="OLD_DIR",
    help="An older key directory of the same store. Its join, digest and log keys are kept; the vault pair "
    "and the pseudonym epoch are renewed. OLD_DIR stays as it is.",
)
@click.option(
    "--vault",
    metavar="NAME",
    help="A vault key in Cloud KMS, named gcp-kms://projects/…/cryptoKeyVersions/N: its private half stays "
    "there. Without this option the private half is a file in DIR/release.",
)
def init(directory: Path, continues: Path | None, vault: str | None) -> None:
    """Make a new key directory DIR with the sides DIR/ingest and DIR/release.

    DIR must not exist or be empty: keys are never overwritten. This is the only command that makes keys.
    Keep a backup of both sides; without DIR/release, nothing that is sealed can ever be opened.

    To renew the keys of a store, make a directory that continues the old one, give its ingest side to all
    runs from then on, and run `cofferdam keys rotate` with its release side.

    Exit codes: 0 made, 2 DIR is in use or the vault key no such key, 3 a directory cannot be read or written,
    or Cloud KMS cannot be asked.
    """
    with reported():
        service = None if vault is None else _service_key(vault)
        create_key_directory(directory, created=_today(), continues=continues, vault=service)
    click.echo(
        f"made {directory / INGEST} (seals, opens nothing) and {directory / RELEASE} (opens; keep it apart)"
    )


def _service_key(vault: str) -> ServiceKey:
    from transforms.key_provider_gcp import fetch_public_half, key_name

    name = key_name(vault)
    return ServiceKey(fetch_public_half(name), name)


@keys.command(name="rotate")
@click.option(
    "--store",
    "stores",
    required=True,
    multiple=True,
    type=store_path,
    metavar="DIR",
    help="The store. Name all stores that these keys serve; older vault keys are destroyed for all of them.",
)
@click.option(
    "--keys",
    "keys_path",
    required=True,
    type=_PATH,
    metavar="DIR",
    help="The release side of the newest key directory: KEYS/release.",
)
@click.option(
    "--old-keys",
    multiple=True,
    type=_PATH,
    metavar="DIR",
    help="The release side of an older key directory; the retired vault keys are destroyed there, too.",
)
@click.option(
    "--keep-old", is_flag=True, help="Destroy nothing: old copies of the store can still be opened."
)
@click.option(
    "--abandon-broken",
    is_flag=True,
    help="Destroy older vault keys even if a key that does not unwrap could be restored with them.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be moved and destroyed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def rotate(
    context: click.Context,
    stores: tuple[str | Path, ...],
    keys_path: Path,
    old_keys: tuple[Path, ...],
    keep_old: bool,
    abandon_broken: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move a store's wrapped keys to the newest vault key, then destroy the older vault keys.

    Afterwards a copy of the store from before opens nothing, and so nothing that was erased since comes back
    from a backup. No content is opened; only files with keys under an older vault key are written anew. A
    rotation that was interrupted is finished by running it again.

    The newest vault key is made with `cofferdam keys init NEW --continues OLD`. Afterwards runs that still
    have OLD/ingest are refused.

    Exit codes: 0 done, or nothing to do; 1 some keys do not unwrap, the others were moved and the older vault
    keys that they may need are kept; 2 usage, or no such store; 3 keys or a store cannot be used.
    """
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.run_rotation import RotationRequest, plan_all, rotate_all

    request = RotationRequest(tuple(dict.fromkeys(stores)), keys_path, old_keys, keep_old, abandon_broken)
    with reported():
        told = plan_all(request) if dry_run else rotate_all(request, show_progress=not as_json)
    lines = list(_rotation_lines(told))
    for entry in () if dry_run else told["stores"]:
        entry["checkpoint"] = checkpoint_of(entry["store"])
        lines.append(checkpoint_text(entry["store"]))
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines))
    if any(entry["broken"] for entry in told["stores"]):
        context.exit(EXIT_PROMISE_BROKEN)


def _rotation_lines(told: dict[str, Any]) -> Iterator[str]:
    moved = "would move" if told["dry_run"] else "moved"
    for entry in told["stores"]:
        counts = f"{entry['data_keys']:,} data keys in {entry['files']:,} files"
        yield f"{entry['store']}: {moved} {counts} to vault key {told['vault']}"
        for key_id, code in entry["broken"].items():
            yield f"  {code}: data key {key_id} does not unwrap; its row stays as it is"
    for vault in told.get("older_vaults", ()):
        yield f"would destroy vault key {vault}, if every key is moved"
    for entry in told.get("destroyed", ()):
        when = "" if entry["done"] else f"; Cloud KMS destroys it {entry['due'] or 'when its time is over'}"
        yield f"destroyed vault key {entry['vault']}{when}"
    for vault in told.get("kept", ()):
        yield f"kept older vault key {vault}: old copies of the store can still be opened with it"
    if not any(told.get(name) for name in ("older_vaults", "destroyed", "kept")):
        yield "there is no older vault key; `cofferdam keys init NEW --continues OLD` makes the next"


@keys.command(name="check")
@click.option("--store", required=True, type=store_path, metavar="DIR", help="The store.")
@click.option(
    "--keys", "keys_path", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, store: str | Path, keys_path: Path, as_json: bool) -> None:
    """Unwrap every data key of a store, and name those that are lost, were changed or were swapped.

    No content is opened. What does not unwrap keeps its own items closed and no others.

    Exit codes: 0 all unwrap, 1 some do not, 2 no such store, 3 keys or the store cannot be used.
    """
    from transforms.key_check import check_keys
    from transforms.keys import load_release_keys
    from transforms.store import Store

    with reported():
        found = check_keys(Store.open(store), load_release_keys(keys_path))
    broken = {key_id.hex(): code for key_id, code in sorted(found.broken.items())}
    broken |= {key_id.hex(): "SEAL_KEY_MISSING" for key_id in sorted(found.missing)}
    vaults = {vault_id.hex(): number for vault_id, number in sorted(found.vaults.items())}
    if as_json:
        click.echo(json.dumps({"data_keys": found.data_keys, "vaults": vaults, "broken": broken}, indent=2))
    else:
        click.echo(f"{found.data_keys:,} data keys unwrap, {len(broken):,} do not")
        for key_id, code in broken.items():
            click.echo(f"  {code}: data key {key_id}")
        if broken and not found.data_keys:
            click.echo("None unwraps. Are these the keys of this store?")
    if not found.holds:
        context.exit(EXIT_PROMISE_BROKEN)


@keys.command(name="unlink")
@click.argument("directory", type=_PATH, metavar="DIR")
@click.option("--epoch", "epochs", required=True, multiple=True, type=click.IntRange(1), metavar="N")
@click.option("--dry-run", is_flag=True, help="Only say what would be destroyed.")
def unlink(directory: Path, epochs: tuple[int, ...], dry_run: bool) -> None:
    """Destroy the roots of past pseudonym epochs in DIR: their telemetry can be tied to nobody any more.

    DIR is a key directory or one side of it; do it on both sides. `cofferdam keys show DIR` lists the epochs.
    It cannot be taken back, and an erasure no longer finds a person in the telemetry of those epochs.

    Exit codes: 0 destroyed, 2 DIR has no such epoch or still writes it, 3 a directory cannot be read or
    written.
    """
    with reported():
        going = [
            (path, side, key_id)
            for path, side in _sides(directory)
            for key_id in _past_roots(path, side, epochs)
        ]
        for path, side, key_id in going:
            if not dry_run:
                destroy_key(path, side, key_id)
            click.echo(f"{'would destroy' if dry_run else 'destroyed'} {EPOCH_ROOT} {key_id} of {path}")


def _past_roots(path: Path, side: str, epochs: tuple[int, ...]) -> list[str]:
    finish_destruction(path, side)
    roots = {entry.epoch: entry.key_id for entry in describe_keys(path, side) if entry.purpose == EPOCH_ROOT}
    if not roots and side == RELEASE:
        return []  # made before the release side was given roots
    unknown = sorted(set(epochs) - set(roots))
    if unknown or max(roots) in epochs:
        raise ConfigurationError(
            "KEYS_NO_PAST_EPOCH",
            f"{path} has no past pseudonym epoch {(unknown or [max(roots)])[0]}; nothing was changed",
        )
    return [roots[epoch] for epoch in sorted(set(epochs))]


@keys.command(name="show")
@click.argument("directory", type=_PATH, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def show(directory: Path, as_json: bool) -> None:
    """Show the keys in DIR: ids, epochs, dates, algorithms and permissions, never a key.

    DIR is a key directory or one side of it (DIR/ingest or DIR/release).

    Exit codes: 0 shown, 2 DIR is no key directory, 3 a file is missing, open to others or damaged.
    """
    with reported():
        shown = [_shown_side(path, side) for path, side in _sides(directory)]
    click.echo(json.dumps({"sides": shown}, indent=2) if as_json else "\n".join(map(_as_text, shown)))


def _today() -> date:
    return datetime.now(UTC).date()


def _sides(directory: Path) -> list[tuple[Path, str]]:
    inside = [(directory / side, side) for side in (INGEST, RELEASE) if (directory / side).is_dir()]
    if inside:
        return inside
    if (directory / DESCRIPTION_FILE).exists():
        return [(directory, _side_of(directory))]
    raise ConfigurationError(
        "KEYS_NONE", f"{directory} holds neither {INGEST} nor {RELEASE}; `cofferdam keys init` makes both"
    )


def _side_of(path: Path) -> str:
    try:
        describe_keys(path, INGEST)
    except InfrastructureFault as error:
        if error.code == "KEYS_WRONG_SIDE":
            return RELEASE
        raise
    return INGEST


def _shown_side(path: Path, side: str) -> dict[str, Any]:
    entries = describe_keys(path, side)
    shown = [{**asdict(entry), "permissions": _permissions(path / entry.file_name)} for entry in entries]
    return {
        "side": side,
        "path": str(path),
        "permissions": _permissions(path),
        "description_permissions": _permissions(path / DESCRIPTION_FILE),
        "keys": shown,
    }


def _permissions(path: Path) -> str:
    try:
        return stat.filemode(path.lstat().st_mode)
    except OSError:
        return "missing"


def _as_text(side: dict[str, Any]) -> str:
    lines = [f"{side['side']}  {side['permissions']}  {side['path']}"]
    for key in side["keys"]:
        lines.append(
            f"  {key['key_id']}  {key['purpose']:<20}  epoch {key['epoch']}  {key['created']}  "
            f"{key['permissions']}  {key['algorithm']}"
        )
    return "\n".join(lines)
