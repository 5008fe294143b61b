"""A word about contracts that were changed and kept their version: rows name nothing but id and version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from schemas.contract import load_contracts
from schemas.contract_lint import contract_files


def tell_of_versions(given: Sequence[Path]) -> None:
    """Say on standard error which contracts differ from the bundled ones of the same version."""
    if labels := changed_under_their_version(given):
        click.echo(
            f"Note: {', '.join(labels)}: differs from what comes with Cofferdam under this version. Give "
            "it a version of its own, and name it with --contracts to `report` and `erase`, too",
            err=True,
        )


def changed_under_their_version(given: Sequence[Path]) -> list[str]:
    """Ids and versions of contracts that are others than the bundled ones of the same id and version.

    Args:
        given: Contract files and folders of such; empty for the bundled ones.

    Raises:
        ConfigurationError: A contract cannot be used.
    """
    if not given:
        return []
    bundled = {(each.id, each.version): each.shapes for each in load_contracts().contracts}
    mine = load_contracts(contract_files(given)).contracts
    return sorted(
        f"{each.id}@{each.version}"
        for each in mine
        if bundled.get((each.id, each.version), each.shapes) != each.shapes
    )
