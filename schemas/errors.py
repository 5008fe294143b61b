"""The errors that Cofferdam raises: a code, a value-free message, and an exit code.

A message names ids, codes and positions. It never holds a value from an event: an exception's text ends in
logs that nobody guards (Beam writes the traceback of a failing step to the worker's log).
"""

from __future__ import annotations

EXIT_COMPLETE = 0
EXIT_PROMISE_BROKEN = 1
EXIT_CONFIGURATION = 2
EXIT_INFRASTRUCTURE = 3
EXIT_TOO_MUCH_HELD = 4
EXIT_TOO_MUCH_ERASED = 4


class CofferdamError(Exception):
    """Base of all errors of ours.

    Args:
        code: Stable upper-case identifier that scripts can match.
        message: What went wrong and what to do next, free of values from events.
    """

    exit_code = EXIT_INFRASTRUCTURE

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[CofferdamError], tuple[str, str]]:
        """Survive pickling between worker processes, with both arguments."""
        return type(self), (self.code, self.message)


class PromiseBroken(CofferdamError):  # noqa: N818 - the name states the finding
    """A promise of the product did not hold (for example a run that does not reconcile). Exit code 1."""

    exit_code = EXIT_PROMISE_BROKEN


class ConfigurationError(CofferdamError):
    """Options, contracts, policies or registries that cannot be used as given. Exit code 2."""

    exit_code = EXIT_CONFIGURATION


class InfrastructureFault(CofferdamError):  # noqa: N818 - the name states the finding
    """A key, file or store that is missing, unreadable or unreachable. Exit code 3."""

    exit_code = EXIT_INFRASTRUCTURE


class TooMuchErased(CofferdamError):  # noqa: N818 - the name states the finding
    """An erasure would reach more of the store than is allowed. Exit code 4."""

    exit_code = EXIT_TOO_MUCH_ERASED
