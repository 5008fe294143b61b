"""The bundled contracts, read once for all runs of a process: reading them takes as long as a small run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from schemas.contract import ContractSet, bundled_contract_files, load_contracts


def bundled_once(files: Iterable[Path]) -> ContractSet:
    """Contracts from files; those that are bundled are read at the first call only."""
    chosen = tuple(files)
    return _bundled(chosen) if list(chosen) == bundled_contract_files() else load_contracts(chosen)


@cache
def _bundled(files: tuple[Path, ...]) -> ContractSet:
    return load_contracts(files)
