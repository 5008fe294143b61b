"""The options that say what to release and on what grounds, for the commands that take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.shared_options import records_and_registry, with_options
from schemas.consent_sets import RECIPIENTS

if TYPE_CHECKING:
    from pipelines.run_release import ReleaseOptions

_PATH = click.Path(path_type=Path)
_NEEDED = {
    "consents": "--consents",
    "registry": "--registry",
    "purposes": "--purpose",
    "recipient": "--recipient",
    "as_of": "--as-of",
}
_OTHERS = {
    "approvers": "--approver",
    "case_id": "--case-id",
    "export_to": "--export-to",
    "transfer_mechanism": "--transfer-mechanism",
    "registry_signer": "--registry-signer",
    "pins": "--pins",
}


def release_options(command: Any) -> Any:
    """The options that say what to release, and on what grounds, of a command that may release."""
    return _with_options(command, required=False)


def required_release_options(command: Any) -> Any:
    """The same of a command that does nothing else: those that a release needs are required."""
    return _with_options(command, required=True)


def _with_options(command: Any, *, required: bool) -> Any:
    options = [
        *records_and_registry(required=required),
        click.option(
            "--purpose",
            "purposes",
            required=required,
            multiple=True,
            metavar="P",
            help="Registered purpose; may be given several times.",
        ),
        click.option(
            "--recipient", required=required, type=click.Choice(RECIPIENTS), help="Who is to receive it."
        ),
        click.option(
            "--as-of",
            required=required,
            metavar="TIME",
            help="Instant of the decision (RFC 3339). The same instant and inputs give the same decisions.",
        ),
        click.option("--allow-test-keys", is_flag=True, help="Take keys marked test for keys."),
        click.option("--case-id", metavar="ID", help="The case, for purposes of single cases."),
        click.option("--approver", "approvers", multiple=True, metavar="ID", help="Who approved the case."),
        click.option("--export-to", metavar="PLACE", help="Where the content is to be taken."),
        click.option("--transfer-mechanism", metavar="NAME", help="What covers that under the law."),
        click.option(
            "--registry-signer",
            metavar="THUMBPRINT",
            help="Thumbprint of the key that must have signed for the registry; `consent lint` shows it.",
        ),
        click.option("--pins", type=_PATH, metavar="FILE", help="Hashes that policies and suites must have."),
    ]
    return with_options(options, command)


def _check_needed(options: dict[str, Any]) -> None:
    missing = [option for name, option in _NEEDED.items() if not options[name]]
    if missing:
        raise click.UsageError(f"a release needs {', '.join(missing)}")


def read_options(
    store: str, keys: Path, beam_arguments: tuple[str, ...], options: dict[str, Any]
) -> ReleaseOptions:
    """The options of the command as the run takes them."""
    from pipelines.run_release import ReleaseOptions
    from transforms.release_rules import ReleaseRequest

    return ReleaseOptions(
        store=store,
        keys=keys,
        consents=options["consents"],
        registry=options["registry"],
        request=ReleaseRequest(
            purposes=tuple(dict.fromkeys(options["purposes"])),
            recipient=options["recipient"],
            as_of=options["as_of"],
            case_id=options["case_id"],
            approvers=options["approvers"],
            export_to=options["export_to"],
            transfer_mechanism=options["transfer_mechanism"],
            registry_signer=options["registry_signer"],
        ),
        allow_test_keys=options["allow_test_keys"],
        pins=options["pins"],
        beam_arguments=beam_arguments,
    )


def release_arguments(
    store: str, keys: Path | None, as_json: bool, options: dict[str, Any]
) -> list[str] | None:
    """The command line of a release that follows another command; None if none is asked for.

    Raises:
        click.UsageError: An option that is needed is missing.
    """
    if keys is None:
        if given := [option for name, option in _NEEDED.items() if options[name]]:
            raise click.UsageError(f"{given[0]} asks for a release, which needs --release-keys")
        return None
    _check_needed(options)
    arguments = ["release", "--store", store, "--keys", str(keys)]
    for name, option in {**_NEEDED, **_OTHERS}.items():
        values = options[name] if isinstance(options[name], tuple) else (options[name],)
        arguments += [word for value in values if value is not None for word in (option, str(value))]
    flags = {"--json": as_json, "--allow-test-keys": options["allow_test_keys"]}
    return [*arguments, *(flag for flag, given in flags.items() if given)]
