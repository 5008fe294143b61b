"""Rotate the keys of one store or several, then destroy the older vault keys that nothing needs any more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transforms.audit_log import merge
from transforms.key_destruction import destroy_copies, destroy_key, finish_destruction
from transforms.key_files import RELEASE
from transforms.key_rotation import Rotation, retire_vaults, retired_vaults, rotate_store
from transforms.key_rotation_plan import plan_rotation
from transforms.keys import ReleaseKeys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.store import Store, new_run_id


@dataclass(frozen=True)
class RotationRequest:
    """What a user asked for.

    Attributes:
        stores: All stores that the key directory serves.
        keys: The release side of the newest key directory.
        old_keys: Release sides of older directories, in which the retired vault keys are destroyed, too.
        keep_old: Whether older vault keys are kept.
        abandon_broken: Whether they are destroyed even if keys that do not unwrap may need them.
    """

    stores: tuple[str | Path, ...]
    keys: Path
    old_keys: tuple[Path, ...] = ()
    keep_old: bool = False
    abandon_broken: bool = False


def plan_all(request: RotationRequest) -> dict[str, Any]:
    """What a rotation would move and destroy; changes nothing.

    Raises:
        ConfigurationError: A store cannot be used.
        InfrastructureFault: Keys or a store cannot be read.
    """
    keys = load_release_keys(request.keys)
    plans = [(path, plan_rotation(Store.open(path, seal_of(keys)), keys.vault_id)) for path in request.stores]
    return {
        "dry_run": True,
        "vault": keys.vault_id.hex(),
        "older_vaults": [vault_id.hex() for vault_id in keys.older_vaults],
        "stores": [
            {
                "store": str(path),
                "files": len(plan.moving),
                "data_keys": plan.data_keys,
                "broken": dict.fromkeys(_hex(plan.lost), "SEAL_KEY_MISSING"),
            }
            for path, plan in plans
        ],
    }


def rotate_all(request: RotationRequest, *, show_progress: bool) -> dict[str, Any]:
    """Rotate, and say what was done.

    Every store stays locked until the older vault keys are gone: what is sealed to one of them meanwhile
    could never be opened.

    Raises:
        ConfigurationError: A store cannot be used.
        PromiseBroken: An audit log is not what it was.
        InfrastructureFault: Keys or a store cannot be read or written; what was committed is done, and the
            same command goes on from there.
    """
    for side in (request.keys, *request.old_keys):
        finish_destruction(side, RELEASE)
    keys = load_release_keys(request.keys)
    with ExitStack() as stack:
        name = new_run_id(datetime.now(UTC))
        opened = [Store.open(path, seal_of(keys)) for path in request.stores]
        stores = [stack.enter_context(store.writing(name)) for store in opened]
        rotations = []
        for store in stores:
            # Of a run that was killed; refuses a log that was changed.
            merge(store, keys, datetime.now(UTC), may_begin=False)
            with _progress(show_progress, store, keys) as tell:
                rotations.append(rotate_store(store, keys, tell))
        going = _destructible(request, keys, rotations)
        destroyed = _retire(request, keys, [store.refreshed() for store in stores], going)
        left = load_release_keys(request.keys)
        for store in stores:
            merge(store, left, datetime.now(UTC))
    return {
        "dry_run": False,
        "vault": keys.vault_id.hex(),
        "destroyed": destroyed,
        "kept": [vault_id.hex() for vault_id in keys.older_vaults if vault_id not in going],
        "stores": [_told(path, done) for path, done in zip(request.stores, rotations, strict=True)],
    }


def _destructible(
    request: RotationRequest, keys: ReleaseKeys, rotations: Sequence[Rotation]
) -> tuple[bytes, ...]:
    if request.keep_old:
        return ()
    needed = set() if request.abandon_broken else {each for done in rotations for each in done.needed}
    return tuple(vault_id for vault_id in keys.older_vaults if vault_id not in needed)


def _retire(
    request: RotationRequest, keys: ReleaseKeys, stores: Sequence[Store], going: Sequence[bytes]
) -> list[dict[str, Any]]:
    """State everywhere that vault keys go, then let them go; the next run finishes what is interrupted."""
    stores = [retire_vaults(store, going) for store in stores]
    destroyed = []
    for vault_id in going:
        how_far = keys.vault(vault_id).destroy()
        destroy_key(request.keys, RELEASE, vault_id.hex())
        destroyed.append({"vault": vault_id.hex(), "done": how_far.done, "due": how_far.due})
    if not request.keep_old:
        kept = {keys.vault_id, *keys.older_vaults} - set(going)
        retired = {vault_id for store in stores for vault_id in retired_vaults(store.snapshot)} - kept
        for side in request.old_keys:
            destroy_copies(side, RELEASE, _hex(retired))
    return destroyed


def _told(path: str | Path, done: Rotation) -> dict[str, Any]:
    return {
        "store": str(path),
        "files": done.files,
        "data_keys": done.data_keys,
        "bundles": done.bundles,
        "commits": done.commits,
        "broken": {key_id.hex(): code for key_id, code in sorted(done.broken.items())},
    }


def _hex(ids: Sequence[bytes] | set[bytes]) -> list[str]:
    return sorted(each.hex() for each in ids)


@contextmanager
def _progress(wanted: bool, store: Store, keys: ReleaseKeys) -> Iterator[Callable[[Rotation], object]]:
    """Show how many data keys have been moved, on a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as display:
        task = display.add_task("moving keys", total=plan_rotation(store, keys.vault_id).data_keys)
        yield lambda done: display.update(task, completed=done.data_keys)
