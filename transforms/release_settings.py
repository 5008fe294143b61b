"""Settings of a release that every step needs; small, and without a key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from transforms.store import Store


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

    def opened(self) -> Store:
        """The store as the launching process has found and checked it, read once a worker.

        Raises:
            InfrastructureFault: It is damaged, or another one by now (``STORE_CHANGED``).
        """
        return _opened(self.store, self.base)


@lru_cache(maxsize=1)
def _opened(root: str, base: str) -> Store:
    return Store.at(root, base)
