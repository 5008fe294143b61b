"""``cofferdam policy``: test policies with decision vectors, show what a profile asks, print pins."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.vector_files import Vector, as_compared, decide_vectors, differences, read_vectors
from schemas.consent_sets import ASSIST_PURPOSES
from schemas.errors import EXIT_PROMISE_BROKEN, ConfigurationError
from validation.decisions import Decision
from validation.pins import make_pins
from validation.policy import Policies, Profile
from validation.policy_loading import load_policies

_FILE = click.Path(path_type=Path)
_policies_option = click.option(
    "--policies", type=_FILE, metavar="FILE", help="A policy file of your own, instead of the shipped one."
)
_purposes_option = click.option(
    "--purposes",
    type=_FILE,
    metavar="FILE",
    help="A register of purposes of your own: the lawful basis of each purpose in each region.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="policy")
def policy() -> None:
    """Test and show the jurisdiction policies that decide what may be released."""


@policy.command(name="test")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@_policies_option
@_purposes_option
@_json_option
def test_policy(files: tuple[Path, ...], policies: Path | None, purposes: Path | None, as_json: bool) -> None:
    """Decide the vectors in FILE... and compare with what they expect.

    A file is JSON with a `registry` (signing keys, terms) and a list of `vectors`, each with id, as_of, item,
    records and expect. Only what `expect` gives is compared: decision, primary, reasons, advisories.
    Each vector goes through the expectation suites that gate a release. With --json, the decision, primary
    reason, reasons and advisories of each id go to standard output, and the differences to standard error.

    Exit codes: 0 all as expected, 1 something differs, 2 a file cannot be read or a policy is refused.
    """
    with reported():
        rules = load_policies(policies, purposes)
        vectors = [vector for path in files for vector in read_vectors(path)]
        if as_json:
            _refuse_repeated_ids(vectors)
        decisions = decide_vectors(vectors, rules)
    if as_json:
        _print_json({v.vector_id: as_compared(d) for v, d in zip(vectors, decisions, strict=True)})
    differing = _print_differences(vectors, decisions, to_stderr=as_json)
    if differing:
        raise click.exceptions.Exit(EXIT_PROMISE_BROKEN)


def _refuse_repeated_ids(vectors: Sequence[Vector]) -> None:
    ids = [vector.vector_id for vector in vectors]
    if len(set(ids)) < len(ids):
        message = "two vectors have the same id, so JSON by id would lose one; rename one of them"
        raise ConfigurationError("VECTOR_ID_REPEATED", message)


def _print_differences(vectors: Sequence[Vector], decisions: Sequence[Decision], *, to_stderr: bool) -> int:
    differing = 0
    for vector, decision in zip(vectors, decisions, strict=True):
        lines = list(differences(vector, decision))
        differing += bool(lines)
        for line in lines:
            click.echo(f"{vector.file} {line}", err=to_stderr)
    as_expected = len(vectors) - differing
    click.echo(f"{len(vectors)} vectors: {as_expected} as expected, {differing} differ", err=to_stderr)
    return differing


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


@policy.command(name="table")
@click.argument("profile", metavar="PROFILE")
@_policies_option
@_purposes_option
@_json_option
def table(profile: str, policies: Path | None, purposes: Path | None, as_json: bool) -> None:
    """Print the decision table of PROFILE: what each purpose asks there.

    PROFILE is a region such as eu or us-ca. Regions joined by + (eu+us-il) show what holds for a meeting with
    people from all of them: the strictest value of every field.

    Exit codes: 0 shown, 2 there is no such profile or a policy is refused.
    """
    with reported():
        rules = load_policies(policies, purposes)
        merged = _merged(rules, profile)
    rows = _purpose_rows(rules, merged)
    if as_json:
        _print_json({"profile": _profile_json(merged), "purposes": rows})
    else:
        _print_table(_profile_json(merged), rows)


def _merged(policies: Policies, names: str) -> Profile:
    regions = names.split("+")
    if unknown := [name for name in regions if name not in policies.profiles]:
        known = ", ".join(policies.profiles)
        raise ConfigurationError("PROFILE_UNKNOWN", f"no profile {unknown[0]!r}; there are {known}")
    return policies.merged(regions)


def _profile_json(profile: Profile) -> dict[str, Any]:
    return {name: value for name, value in profile.as_json().items() if name != "purposes"}


def _purpose_rows(policies: Policies, profile: Profile) -> list[dict[str, Any]]:
    return [_purpose_row(policies, profile, purpose) for purpose in policies.base_purposes]


def _purpose_row(policies: Policies, profile: Profile, purpose: str) -> dict[str, Any]:
    rule = profile.rules[purpose]
    asks = rule not in ("necessary", "authorised_case", "prohibited")
    mechanisms = policies.floor.express
    if purpose in ASSIST_PURPOSES:
        mechanisms = tuple(sorted(profile.assist_mechanisms))
    bases = {region: policies.bases[purpose, region] for region in profile.regions}
    return {
        "purpose": purpose,
        "rule": rule,
        "basis": {region: basis.basis for region, basis in bases.items()},
        "article": {region: basis.article for region, basis in bases.items()},
        "who": profile.party_scope if asks else None,
        "mechanisms": list(mechanisms) if asks else [],
        "tenant_authorisation": asks,
        "too_vague": purpose in profile.vague_purposes,
        "prohibited_for": sorted(profile.prohibited_if.get(purpose, ())),
    }


def _print_table(profile: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title="+".join(profile["regions"]))
    for column in ("purpose", "rule", "lawful basis", "who agrees", "how", "remarks"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        basis = "; ".join(dict.fromkeys(f"{row['basis'][r]}: {row['article'][r]}" for r in row["basis"]))
        how = ", ".join(row["mechanisms"])
        shown.add_row(row["purpose"], row["rule"], basis, row["who"] or "-", how or "-", _remarks(row))
    # Rich guesses 80 columns where there is no terminal, which would fold every cell.
    Console(width=None if sys.stdout.isatty() else 160).print(shown)
    for name, value in profile.items():
        if name != "regions":
            click.echo(f"{name}: {json.dumps(value)}")


def _remarks(row: Mapping[str, Any]) -> str:
    remarks = []
    if row["too_vague"]:
        remarks.append("too vague to be agreed to")
    if row["prohibited_for"]:
        remarks.append(f"prohibited for: {', '.join(row['prohibited_for'])}")
    return "; ".join(remarks)


@policy.command(name="hash")
@_policies_option
@_purposes_option
def hashes(policies: Path | None, purposes: Path | None) -> None:
    """Print the pins of the policies as JSON: their hash and the hash of every suite.

    A decision names the policy hash it was made under.

    Exit codes: 0 printed, 2 a policy is refused.
    """
    with reported():
        rules = load_policies(policies, purposes)
    _print_json(make_pins(rules))
