"""Errors that leave a step carry a code and a place in our code, never a value.

Beam writes a failing step's traceback to the worker's log, and the texts of Arrow's, msgspec's and Python's
own exceptions quote the value they stumbled over. An error that nobody planned still fails the job, loudly,
but as one of our own: with the exception's class and the lines of code it passed through.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from schemas.errors import CofferdamError, InfrastructureFault

_FRAMES = 4
_OUR_FOLDERS = ("pipelines", "schemas", "transforms", "validation")


@contextmanager
def value_free(step: str) -> Iterator[None]:
    """Let our own errors through and replace all others by one without a value.

    Args:
        step: Name of the step, for the message.

    Raises:
        InfrastructureFault: With code STEP_FAILED, for any exception that is not ours.
    """
    try:
        yield
    except CofferdamError:
        raise
    except GeneratorExit:
        raise
    except Exception as error:
        kind, place = type(error).__name__, _place(error.__traceback__)
        message = f"step {step} failed with {kind} at {place}; nothing was committed, running again is safe"
        raise InfrastructureFault("STEP_FAILED", message) from None


def _place(trace: TracebackType | None) -> str:
    """Where it was raised, and the lines of our own that led there; a library's many frames say little."""
    frames = traceback.extract_tb(trace)[1:]  # the first is that of `value_free`
    ours = [frame for frame in frames[:-1] if Path(frame.filename).parent.name in _OUR_FOLDERS]
    shown = [*ours[1 - _FRAMES :], *frames[-1:]]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(shown))
