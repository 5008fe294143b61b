"""``cofferdam consent``: look after registries and records, and sign records to try things out."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.consent_registry import (
    is_attested,
    lint_registry,
    open_registry,
    require_attester,
    unused_types,
)
from pipelines.option_types import PlaceType
from schemas.consent_building import EVENT_TYPE_OF_MECHANISM, build_record
from schemas.consent_files import append_lines, consent_files, read_lines
from schemas.consent_import import import_records, load_mapping
from schemas.consent_lint import lint_records
from schemas.consent_rows import Identifier, read_identifier, read_time
from schemas.consent_sets import GRANTORS, RECIPIENTS, WEAK_MECHANISMS
from schemas.consent_signing import sign_record
from schemas.errors import EXIT_CONFIGURATION, EXIT_INFRASTRUCTURE, ConfigurationError
from schemas.places import Place
from schemas.registry import Registry
from schemas.registry_attestation import Attestation
from schemas.registry_files import UNREADABLE, RegistryProblem
from schemas.registry_subjects import Conflict
from schemas.registry_writing import (
    PrivateKey,
    compare_pins,
    own_test_key,
    read_private_key,
    write_pins,
    write_starter,
)

_PATH = click.Path(path_type=Path)
_REGISTRY = click.option(
    "--registry", "directory", type=_PATH, required=True, metavar="DIR", help="The registry."
)
_KEY = click.option(
    "--signing-key",
    "key_file",
    type=_PATH,
    required=True,
    metavar="FILE",
    help="Private Ed25519 key (JWK, mode 0600).",
)
_OUTPUT = click.option(
    "--output", type=_PATH, required=True, metavar="FILE", help="JSON lines; records are added at the end."
)
_GRANTOR = click.Choice(GRANTORS)
_MECHANISM = click.Choice(tuple(dict.fromkeys((*EVENT_TYPE_OF_MECHANISM, *WEAK_MECHANISMS))))
_EXPLICIT = "explicit_statement"


@click.group(name="consent")
def consent() -> None:
    """Look after consent registries and signed consent records.

    \b
    To try things out:
      cofferdam consent init my-registry
      cofferdam consent grant --registry my-registry --signing-key my-registry/test-keys/KEY.json
        --output my-consents.jsonl --subject email:ada@example.org --purpose ai_training
        --kind audio --scope meeting:ID   (one line)
      cofferdam consent lint --registry my-registry --consents my-consents.jsonl --allow-test-keys
    """  # noqa: D301 - click reads the backspace as "keep the lines of this paragraph"


@consent.command(name="init")
@click.argument("directory", type=_PATH, metavar="DIR")
def init(directory: Path) -> None:
    """Write a starter registry to DIR, with a signing key that is marked test.

    DIR must not exist or be empty. The private test key is written to DIR/test-keys, readable by its owner
    only. What it signs counts only where test keys are allowed, and every report says so.

    Exit codes: 0 written, 2 DIR is in use, 3 DIR cannot be written.
    """
    with reported():
        private = write_starter(directory, valid_from="2026-01-01T00:00:00Z")
    click.echo(
        f"wrote {directory}: an example to change, then run `cofferdam consent pin --registry {directory}`"
    )
    click.echo(f"test signing key (not for real records): {private}")


@consent.command(name="lint")
@click.option("--registry", "directory", type=PlaceType(), required=True, metavar="DIR", help="The registry.")
@click.option("--consents", type=PlaceType(), metavar="PATH", help="Records to hold against it.")
@click.option("--contracts", "contract_files", multiple=True, type=_PATH, metavar="PATH", help="As for run.")
@click.option("--allow-test-keys", is_flag=True, help="Take keys marked test for keys.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def lint(
    directory: Place,
    consents: Place | None,
    contract_files: tuple[Path, ...],
    allow_test_keys: bool,
    as_json: bool,
) -> None:
    """Say what is wrong with a registry, or with records held against it, with file and line.

    Names no person and quotes no record. Lines marked `note` are worth knowing and stop nothing, such as
    people who are registered under a type of identifier that no contract uses.

    Exit codes: 0 nothing is wrong (there may be notes), 2 something is, 3 a file cannot be read.
    """
    with reported():
        registry, problems = lint_registry(directory)
        if consents is not None and registry is not None:
            problems.extend(_lint_consents(consents, registry, allow_test_keys))
        if registry is not None:
            problems.extend(unused_types(directory, consents, registry, contract_files))
    signer = None if registry is None else registry.attestation
    click.echo(_lint_json(problems, signer) if as_json else _lint_text(problems, signer))
    raise click.exceptions.Exit(_lint_exit_code(problems))


def _lint_consents(path: Place, registry: Registry, allow_test_keys: bool) -> list[RegistryProblem]:
    return [
        problem
        for file in consent_files(path)
        for problem in lint_records(str(file), read_lines(file), registry, allow_test_keys=allow_test_keys)
    ]


def _lint_exit_code(problems: list[RegistryProblem]) -> int:
    codes = {problem.code for problem in problems if not problem.is_advice}
    if UNREADABLE in codes:
        return EXIT_INFRASTRUCTURE
    return EXIT_CONFIGURATION if codes else 0


def _lint_json(problems: list[RegistryProblem], signer: Attestation | None) -> str:
    shown = {"problems": [problem.as_dict() for problem in problems], "signer": signer and asdict(signer)}
    return json.dumps(shown, indent=2)


def _lint_text(problems: list[RegistryProblem], signer: Attestation | None) -> str:
    wrong = sum(not problem.is_advice for problem in problems)
    lines = [_problem_text(problem) for problem in problems]
    if signer is not None:
        lines.append(f"signed for by {signer.kid}, thumbprint {signer.thumbprint}")
    return "\n".join([*lines, f"{wrong} wrong, {len(problems) - wrong} notes"])


def _problem_text(problem: RegistryProblem) -> str:
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    named = f"{problem.field}: " if problem.field else ""
    return f"{where}: {'note ' if problem.is_advice else ''}{problem.code}: {named}{problem.message}"


@consent.command(name="pin")
@_REGISTRY
@click.option(
    "--signing-key",
    "key_file",
    type=_PATH,
    metavar="FILE",
    help="Private key that signs for the registry; a starter's own test key if left out.",
)
def pin(directory: Path, key_file: Path | None) -> None:
    """Show which files of a registry changed, then write their hashes to registry.json, and sign it.

    The signature in registry.jws says who stands behind keys, terms, authorisations and aliases. The key must
    be one of the registry that has `may_attest`. Whoever releases can insist on a certain one.

    Exit codes: 0 written or nothing to write, 2 registry.json is not of its form or the key may not sign for
    it, 3 a file cannot be read.
    """
    with reported():
        changes, content = compare_pins(directory)
        for each in changes:
            click.echo(f"{each.change:<8} {each.part:<9} {each.path}")
        if all(each.change == "same" for each in changes) and is_attested(directory):
            click.echo("nothing to write")
            return
        signer = own_test_key(directory) if key_file is None else read_private_key(key_file)
        require_attester(directory, signer)
        write_pins(directory, content, signer)
    click.echo(f"wrote registry.json, signed with {signer.kid}; check it with `cofferdam consent lint`")


def _record_options(command: Any) -> Any:
    """The options that every command which writes one record takes."""
    options = [
        _REGISTRY,
        _KEY,
        _OUTPUT,
        click.option(
            "--subject", required=True, metavar="TYPE:ID", help="The person, such as email:a@b.org."
        ),
        click.option(
            "--purpose", "purposes", multiple=True, required=True, metavar="P", help="May be repeated."
        ),
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            metavar="K",
            help="Kind of content; may be repeated. A no is about all kinds.",
        ),
        click.option("--scope", required=True, metavar="SCOPE", help="meeting:ID, tenant:ID or global."),
        click.option("--at", "at", metavar="TIME", help="When it happened (RFC 3339); now if left out."),
        click.option(
            "--ingested-at",
            metavar="TIME",
            help="When the record arrived; now if left out, as a real one would.",
        ),
        click.option("--terms", metavar="VERSION", help="Terms cited; the newest active ones if left out."),
        click.option("--controller", metavar="ID", help="The controller; the only one if left out."),
        click.option("--tenant", metavar="ID", help="Whose contract decides which terms there are."),
        click.option("--id", "record_id", metavar="ID", help="Record id; a random one if left out."),
        click.option("--grantor", type=_GRANTOR, default="subject", show_default=True, help="Who said it."),
        click.option(
            "--mechanism", type=_MECHANISM, default=_EXPLICIT, show_default=True, help="How it was said."
        ),
        click.option(
            "--recipient",
            "recipients",
            multiple=True,
            type=click.Choice(RECIPIENTS),
            help="Who may receive it; may be repeated; first_party if left out. A no is about all.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@consent.command(name="grant")
@_record_options
@click.option("--retroactive", is_flag=True, help="It covers what was recorded before.")
@click.option("--bundled", is_flag=True, help="One yes for several things.")
@click.option("--conditional", is_flag=True, help="The service was refused without it.")
@click.option("--separate", is_flag=True, help="Asked apart from everything else.")
@click.option("--no-detriment", is_flag=True, help="The employer attests that a no has no ill effect.")
@click.option("--retention-policy", metavar="ID", help="Needed for biometric templates in some regions.")
@click.option("--valid-from", metavar="TIME", help="From when it holds.")
@click.option("--valid-until", metavar="TIME", help="Until when it holds.")
def grant(**options: Any) -> None:
    """Sign a record of a yes and append it to a file.

    Exit codes: 0 written, 2 a value or the registry is not usable, 3 a file cannot be read or written.
    """
    _write("given", options)


@consent.command(name="withdraw")
@_record_options
def withdraw(**options: Any) -> None:
    """Sign a record that takes back a yes, and append it to a file; purpose * takes back all.

    Exit codes: 0 written, 2 a value or the registry is not usable, 3 a file cannot be read or written.
    """
    _write("withdrawn", options)


@consent.command(name="refuse")
@_record_options
def refuse(**options: Any) -> None:
    """Sign a record of a no and append it to a file; purpose * refuses all.

    Exit codes: 0 written, 2 a value or the registry is not usable, 3 a file cannot be read or written.
    """
    _write("refused", options)


def _write(status: str, options: dict[str, Any]) -> None:
    with reported():
        registry = open_registry(options.pop("directory")).registry
        signer = read_private_key(options.pop("key_file"))
        output, tenant = options.pop("output"), options.pop("tenant")
        fields = _fields(status, options, registry, tenant)
        record = build_record(fields, registry, tenant=tenant)
        append_lines(output, [sign_record(record, signer.key, signer.kid)])
    _tell_of_key(registry, signer)
    _tell_of_reach(registry, fields)
    click.echo(f"added record {record['record_id']} to {output}")


def _tell_of_reach(registry: Registry, fields: dict[str, Any]) -> None:
    """A mistyped person or a kind left out is a valid record all the same, and nobody would notice."""
    subject = fields["subject"]
    person = registry.person_of(subject.type, subject.value)
    if person is None:
        click.echo(
            "Note: the registry links this identifier to nobody; check its TYPE and ID, or add the person",
            err=True,
        )
    elif isinstance(person, Conflict):
        click.echo("Note: the registry links this identifier to several people", err=True)
    if fields["status"] != "given" and fields["kinds"]:
        click.echo("Note: a no is about all kinds of content; --kind does not narrow it", err=True)
    if fields["status"] == "given" and not fields["kinds"]:
        click.echo("Note: it names no kind of content, so it allows none; use --kind", err=True)


def _tell_of_key(registry: Registry, signer: PrivateKey) -> None:
    key = registry.keys.get(signer.kid)
    if key is None:
        click.echo("Note: the registry does not have this key; the record will not be trusted", err=True)
    elif key.revoked_from is not None:
        click.echo("Note: the registry has revoked this key; the record may not be trusted", err=True)
    elif key.is_test:
        click.echo("Note: signed with a test key; the record counts only with --allow-test-keys", err=True)


def _fields(status: str, options: dict[str, Any], registry: Registry, tenant: str | None) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record_id, at = options.pop("record_id"), options.pop("at")
    given = {name: value for name, value in options.items() if value is not None}
    return {
        **given,
        **{name: list(options[name]) for name in ("purposes", "kinds")},
        "id": record_id,
        "subject": _subject(options["subject"]),
        "status": status,
        "recipients": list(options["recipients"]) or ["first_party"],
        "event_time": at or now,
        "ingested_at": options["ingested_at"] or now,
        "terms": options["terms"] or _newest_terms(registry, tenant),
        "controller": options["controller"] or _only_controller(registry),
    }


def _subject(text: str) -> Identifier:
    kind, _, value = text.partition(":")
    subject = read_identifier({"type": kind, "value": value})
    if subject is None:
        raise ConfigurationError("CONSENT_FORM", "--subject needs TYPE:ID, such as zoom.user_id:ABC")
    return subject


def _newest_terms(registry: Registry, tenant: str | None) -> str:
    versions = registry.terms.of_tenant(tenant)
    active = [
        (start, name)
        for name, terms in versions.items()
        if terms.status == "active" and (start := read_time(terms.start))
    ]
    if not active:
        raise ConfigurationError(
            "CONSENT_UNREGISTERED", "the registry has no active terms; add some, or use --terms"
        )
    return max(active)[1]


def _only_controller(registry: Registry) -> str:
    if len(registry.controllers) != 1:
        names = ", ".join(sorted(registry.controllers)) or "none"
        raise ConfigurationError("CONSENT_UNREGISTERED", f"choose one with --controller; registered: {names}")
    return next(iter(registry.controllers))


@consent.command(name="import")
@click.argument("file", type=_PATH, metavar="FILE")
@click.option(
    "--mapping", type=_PATH, required=True, metavar="MAPPING.yaml", help="How its columns become fields."
)
@_REGISTRY
@_KEY
@_OUTPUT
@click.option("--ingested-at", metavar="TIME", help="When the records arrive here; now if left out.")
def import_(
    file: Path, mapping: Path, directory: Path, key_file: Path, output: Path, ingested_at: str | None
) -> None:
    """Sign the records of another system with an attestation of where they came from, and append them.

    All lines are taken or none: a line left out could be a withdrawal. The mapping file is described in
    docs/consent.md. Lines that are not understood are named, without their values.

    Exit codes: 0 written, 2 something is not understood, 3 a file cannot be read or written.
    """
    with reported():
        registry = open_registry(directory).registry
        signer = read_private_key(key_file)
        _require_importer(registry, signer)
        arrival = ingested_at or datetime.now(UTC).isoformat(timespec="seconds")
        tokens = import_records(file, load_mapping(mapping), registry, signer, ingested_at=arrival)
        append_lines(output, tokens)
    _tell_of_key(registry, signer)
    click.echo(f"added {len(tokens)} records to {output}")


def _require_importer(registry: Registry, signer: PrivateKey) -> None:
    key = registry.keys.get(signer.kid)
    if key is None or not key.may_import:
        message = "the registry does not allow this key to attest imports; set `may_import` on its entry"
        raise ConfigurationError("SIGNING_KEY_MAY_NOT_IMPORT", message)
