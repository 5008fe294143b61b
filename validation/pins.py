"""Pins: the hashes that policies and suites must have before any data is read.

The product ships the pins of its own policies. Whoever keeps policies of their own can pin them too:
``cofferdam policy hash`` prints the pins of a policy file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.errors import PromiseBroken
from validation.facts import item_table, person_table
from validation.policy import Policies
from validation.suites import Suite, item_floor, item_jurisdiction, person_floor, person_jurisdiction


def single_suites(policies: Policies) -> Iterator[Suite]:
    """The floor suites, and the suites of every profile on its own."""
    people, items = person_table(policies), item_table(policies)
    yield item_floor(items)
    yield person_floor(people, policies)
    for profile in policies.profiles.values():
        yield item_jurisdiction(items, profile)
        yield person_jurisdiction(people, profile, policies)


def make_pins(policies: Policies) -> dict[str, Any]:
    """The policy hash, and the hash of every suite by its name."""
    return {
        "policies": policies.policy_hash,
        "suites": {suite.name: suite.hash for suite in single_suites(policies)},
    }


def check_pins(policies: Policies) -> None:
    """Compare policies and their suites with their pins, if they have any.

    Raises:
        PromiseBroken: `POLICY_NOT_PINNED` or `SUITE_NOT_PINNED`: nothing may be decided.
    """
    pins = policies.pins
    if pins is None:
        return
    if pins.get("policies") != policies.policy_hash:
        message = "the policies are not those that were pinned; restore them, or renew the pins on purpose"
        raise PromiseBroken("POLICY_NOT_PINNED", message)
    made = make_pins(policies)["suites"]
    pinned = pins.get("suites")
    if pinned != made:
        known = pinned if isinstance(pinned, dict) else {}
        different = sorted(name for name in {*made, *known} if made.get(name) != known.get(name))
        raise PromiseBroken("SUITE_NOT_PINNED", f"suites that are missing or differ: {', '.join(different)}")
