"""Settings of a release that every step needs; small, and without a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReleaseSettings:
    """What every step of a release needs to know.

    Attributes:
        store: The store's root.
        run_id: The run.
        base: SHA-256 of the store's last manifest when the run began; a store that has changed since is not
            committed to, because the run did not see what the other did.
        consents: Files and folders of records.
        registry: The registry's folder.
        version: Version of the software.
        digits: How many hexadecimal digits of an id name a shard (`transforms.meeting_joins.shard_digits`).
    """

    store: str
    run_id: str
    base: str
    consents: tuple[str, ...]
    registry: str
    version: str = ""
    digits: int = 1
