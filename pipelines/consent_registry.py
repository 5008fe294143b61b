"""Open a registry together with the policies that judge by it: all of it in order, or none of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from schemas.consent_files import consent_files, read_lines
from schemas.contract import load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import ConfigurationError
from schemas.identifier_types import types_of, unused_in_records, unused_in_registry
from schemas.places import Place
from schemas.registry import Registry, load_registry, read_registry
from schemas.registry_files import POLICIES, FileError, JsonFile, RegistryProblem, read_bytes, read_pins
from schemas.registry_writing import PrivateKey
from validation.policy import Policies
from validation.policy_loading import SHIPPED_PROFILES, build_policies, read_json_object


@dataclass(frozen=True)
class OpenRegistry:
    """A registry and its policies, each held to the other."""

    registry: Registry = field(repr=False)
    policies: Policies = field(repr=False)


def open_registry(directory: Place) -> OpenRegistry:
    """Read a registry and build its policies; every purpose has its basis and article in every region.

    Raises:
        ConfigurationError: As `load_registry`, or a code of `validation.policy_loading`, with file and line.
        InfrastructureFault: As `load_registry`.
    """
    registry = load_registry(directory)
    try:
        return OpenRegistry(registry, policies_of(registry))
    except ConfigurationError as error:
        raise _located(directory, error).as_error() from None


def policies_of(registry: Registry) -> Policies:
    """The policies of a registry: its own profiles or the shipped ones, with its register of purposes.

    Raises:
        ConfigurationError: A code of `validation.policy_loading`.
    """
    profiles = registry.policies_document
    if profiles is None:
        profiles = read_json_object(SHIPPED_PROFILES, "policy file")
    policies = build_policies(profiles, registry.purposes_document)
    unused = sorted(set(registry.purposes) - set(policies.base_purposes))
    if unused:
        message = f"purposes.{unused[0]}: has no rule in the policies, so nothing may ever be released for it"
        raise ConfigurationError("POLICY_PURPOSE_UNKNOWN", message)
    return policies


def lint_registry(directory: Place) -> tuple[Registry | None, list[RegistryProblem]]:
    """A registry as far as it can be read, and everything that is wrong with it, its policies included."""
    registry, problems = read_registry(directory)
    if registry is not None and not any(not each.is_advice for each in problems):
        try:
            policies = policies_of(registry)
        except ConfigurationError as error:
            problems.append(_located(directory, error))
        else:
            problems.extend(_regions_without_profile(directory, registry, policies))
    return registry, problems


def is_attested(directory: Place) -> bool:
    """Whether somebody who may has signed for a registry as it is."""
    registry, _ = read_registry(directory)
    return registry is not None and registry.attestation is not None


def require_attester(directory: Place, signer: PrivateKey) -> None:
    """Refuse a key that the registry does not let sign for it.

    Raises:
        ConfigurationError: ``SIGNING_KEY_MAY_NOT_ATTEST``.
    """
    registry, _ = read_registry(directory)
    key = None if registry is None else registry.keys.get(signer.kid)
    if registry is not None and (key is None or not key.may_attest or key.revoked_from is not None):
        message = "the registry does not let this key sign for it; set `may_attest` on its entry"
        raise ConfigurationError("SIGNING_KEY_MAY_NOT_ATTEST", message)


def _regions_without_profile(
    directory: Place, registry: Registry, policies: Policies
) -> list[RegistryProblem]:
    stated = {region for region in registry.subjects.regions() if region not in policies.profiles}
    name = read_pins(directory)[0].files["subjects"].path
    message = "has no profile; whoever is placed there is judged by the strictest one"
    return [
        RegistryProblem(name, 0, f"region {region}", "REGION_WITHOUT_PROFILE", message, is_advice=True)
        for region in sorted(stated)
    ]


def unused_types(
    directory: Place, consents: Place | None, registry: Registry, contracts: Sequence[Path]
) -> list[RegistryProblem]:
    """Notes on types of identifiers, in a registry and in records, that no contract uses.

    Args:
        directory: The registry's folder.
        consents: A file or folder of records, None for none.
        registry: The registry.
        contracts: Contract files and folders of such; empty for the bundled ones.

    Raises:
        ConfigurationError: A contract cannot be used.
    """
    known = _types_in(contracts)
    subjects = read_pins(directory)[0].files.get("subjects")
    name = str(directory) if subjects is None else subjects.path
    notes = list(unused_in_registry(name, registry, known))
    for file in consent_files(consents) if consents is not None else ():
        notes.extend(unused_in_records(str(file), read_lines(file), known))
    return notes


def told_of_types(asked: Iterable[str], contracts: Sequence[Path]) -> str | None:
    """The types under which contracts find people, if somebody was asked for under another; None if not.

    Args:
        asked: Subjects as ``TYPE:ID``; none is repeated.
        contracts: Contract files and folders of such; empty for the bundled ones.
    """
    known = _types_in(contracts)
    if all(subject.partition(":")[0] in known for subject in asked):
        return None
    return f"No contract finds anybody under such a TYPE; there are: {', '.join(sorted(known))}"


def _types_in(contracts: Sequence[Path]) -> frozenset[str]:
    return types_of(load_contracts(contract_files(contracts))) if contracts else _bundled_types()


@cache
def _bundled_types() -> frozenset[str]:
    return types_of(load_contracts())


def _located(directory: Place, error: ConfigurationError) -> RegistryProblem:
    """An error of the policies with the file and line that it is about, as near as its field is found."""
    files = _policy_files(directory)
    where, _, what = error.message.partition(": ")
    words = error.message.split()
    if error.code == "POLICY_BASIS_MISSING":
        where, what = f"purposes.{words[1]}", error.message
    path = tuple(where.split("."))
    part = "purposes" if where.startswith(("purposes", "articles")) or POLICIES not in files else POLICIES
    file = files.get(part)
    line = file.line_of(path) if file is not None else 0
    name = file.name if file is not None else part
    return RegistryProblem(name, line, where, error.code, what or error.message)


def _policy_files(directory: Place) -> dict[str, JsonFile]:
    found: dict[str, JsonFile] = {}
    names: tuple[str, ...] = ("purposes", POLICIES)
    try:
        pins = read_pins(directory)[0]
        for part in names:
            if part in pins.files:
                name = pins.files[part].path
                found[part] = JsonFile.parse(name, read_bytes(directory, name))
    except FileError:
        pass  # the problem itself is told all the same, only without its line
    return found
