"""``cofferdam keys``: make a key directory, and show what one holds without showing a key."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.key_files import DESCRIPTION_FILE, INGEST, RELEASE, describe_keys
from transforms.keys import create_key_directory

_PATH = click.Path(path_type=Path)


@click.group(name="keys")
def keys() -> None:
    """Make and inspect key directories.

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
def init(directory: Path, continues: Path | None) -> None:
    """Make a new key directory DIR with the sides DIR/ingest and DIR/release.

    DIR must not exist or be empty: keys are never overwritten. This is the only command that makes keys.
    Keep a backup of both sides; without DIR/release, nothing that is sealed can ever be opened.

    Exit codes: 0 made, 2 DIR is in use, 3 a directory cannot be read or written.
    """
    with reported():
        create_key_directory(directory, created=_today(), continues=continues)
    click.echo(
        f"made {directory / INGEST} (seals, opens nothing) and {directory / RELEASE} (opens; keep it apart)"
    )


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
