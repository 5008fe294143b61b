"""Starting says nothing about parts that are not installed; what comes after may be heard, Beam excepted."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.quiet_start import quiet_start

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    beam = logging.getLogger("apache_beam")
    level, disabled = beam.level, logging.root.manager.disable
    yield
    beam.setLevel(level)
    logging.disable(disabled)


def test_remarks_are_not_heard_while_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_start():
        logging.warning("a part is not installed")
        logging.getLogger("some.library").warning("another one")
    assert caplog.records == []


def test_errors_are_heard_while_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_start():
        logging.getLogger("some.library").error("broken")
    assert [record.message for record in caplog.records] == ["broken"]


def test_others_may_speak_afterwards_even_if_the_start_fails(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ImportError), quiet_start():
        raise ImportError
    logging.getLogger("some.library").warning("later")
    assert [record.message for record in caplog.records] == ["later"]


def test_beams_loggers_keep_silent_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_start():
        pass
    logging.getLogger("apache_beam.runners.worker").error("a traceback that quotes what a step raised")
    assert caplog.records == []


def test_who_had_silenced_everything_is_not_overruled() -> None:
    logging.disable(logging.CRITICAL)
    with quiet_start():
        assert not logging.getLogger("some.library").isEnabledFor(logging.ERROR)
    assert not logging.getLogger("some.library").isEnabledFor(logging.CRITICAL)


def test_importing_beam_says_nothing() -> None:
    words = "from pipelines.quiet_start import quiet_start\nwith quiet_start():\n import pipelines.run_ingest"
    ran = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
