"""An error that leaves a step names its class and its place in our code, and no value."""

from __future__ import annotations

import json
import traceback

import msgspec
import pyarrow as pa
import pytest

from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault, PromiseBroken
from transforms.faults import value_free

SECRET = "Anna-said-hunter2"


def stumble(kind: type[Exception]) -> None:
    if kind is pa.ArrowInvalid:
        pa.array([SECRET]).cast(pa.int64())
    if kind is msgspec.ValidationError:
        msgspec.json.decode(
            json.dumps({SECRET: 1}).encode(), type=msgspec.defstruct("S", [], forbid_unknown_fields=True)
        )
    if kind is KeyError:
        {}[SECRET]  # type: ignore[index]
    raise kind(SECRET)


@pytest.mark.parametrize(
    "kind", [pa.ArrowInvalid, msgspec.ValidationError, KeyError, ValueError, UnicodeError, OSError]
)
def test_an_error_shows_its_class_and_place_but_no_value(kind: type[Exception]) -> None:
    with pytest.raises(InfrastructureFault) as caught, value_free("separate"):
        stumble(kind)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error)
    assert error.code == "STEP_FAILED"
    assert SECRET not in shown
    assert f"step separate failed with {kind.__name__} at " in error.message
    assert "test_faults.py:" in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_the_place_is_the_innermost_line_first_and_no_folder() -> None:
    def deeper(levels: int) -> None:
        if levels:
            deeper(levels - 1)
        raise ValueError(SECRET)

    with pytest.raises(InfrastructureFault) as caught, value_free("x"):
        deeper(9)
    place = caught.value.message.split(" at ")[1].split(";")[0]
    assert place.count(" < ") == 3
    innermost, *others = place.split(" < ")
    assert innermost != others[0] == others[1]
    assert "/" not in place


def test_every_line_of_our_own_that_led_there_is_named() -> None:
    def inner() -> None:
        raise ValueError(SECRET)

    def outer() -> None:
        inner()

    with pytest.raises(InfrastructureFault) as caught, value_free("x"):
        outer()
    lines = [
        int(place.split(":")[1]) for place in caught.value.message.split(" at ")[1].split(";")[0].split(" < ")
    ]
    first = inner.__code__.co_firstlineno
    assert lines == [first + 1, first + 4, first + 7]


@pytest.mark.parametrize("kind", [ConfigurationError, InfrastructureFault, PromiseBroken])
def test_our_own_errors_pass_as_they_are(kind: type[CofferdamError]) -> None:
    mine = kind("CODE", "message")
    with pytest.raises(kind) as caught, value_free("x"):
        raise mine
    assert caught.value is mine


@pytest.mark.parametrize("kind", [GeneratorExit, KeyboardInterrupt, SystemExit])
def test_what_ends_a_worker_is_not_held_up(kind: type[BaseException]) -> None:
    with pytest.raises(kind), value_free("x"):
        raise kind


def test_what_goes_well_goes_on() -> None:
    with value_free("x"):
        done = True
    assert done
