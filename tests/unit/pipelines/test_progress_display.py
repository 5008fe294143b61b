"""Progress is shown on a terminal, where it is wanted, and as counts alone."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

import pipelines.progress_display as progress_display
from pipelines.progress_display import _words, progress_shown
from transforms.progress import PROGRESS

CLEARED = "\x1b[2K"
"""What erases a terminal's line."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of standard error; a fixture could not, for pytest puts its own back."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress_display, "_REFRESH_SECONDS", 0.01)
    return screen


def test_a_display_begins_anew_for_each_run() -> None:
    PROGRESS.add_digested(5)
    PROGRESS.add_separated(3)
    with progress_shown(False):
        assert (PROGRESS.digested, PROGRESS.separated) == (0, 0)


def test_words_tell_the_two_readings_apart() -> None:
    with progress_shown(False):
        PROGRESS.add_digested(1_500)
        PROGRESS.add_digested(500)
        assert _words() == "looking for duplicates: 2,000 records read"
        PROGRESS.add_separated(1_200)
        assert _words() == "separating: 1,200 of 2,000 records"


def test_nothing_is_shown_unless_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progress_shown(False):
        PROGRESS.add_digested(7)
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_nothing_is_shown_unless_someone_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    before = threading.active_count()
    with progress_shown(True):
        assert threading.active_count() == before
    assert pipe.getvalue() == ""


def test_a_terminal_shows_the_counts_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progress_shown(True):
        PROGRESS.add_digested(4_321)
        wait_for(terminal, "4,321 records read")
        PROGRESS.add_separated(1_234)
        wait_for(terminal, "separating: 1,234")
    assert terminal.getvalue().endswith(CLEARED)


def test_the_display_ends_with_the_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with pytest.raises(ValueError, match="boom"), progress_shown(True):
        raise ValueError("boom")
    assert terminal.getvalue().endswith(CLEARED)
    assert not any("refresh" in thread.name for thread in threading.enumerate())


def wait_for(terminal: Terminal, words: str) -> None:
    deadline = time.monotonic() + 5
    while words not in terminal.getvalue():
        assert time.monotonic() < deadline, terminal.getvalue()[:300]
        time.sleep(0.01)


def test_words_tell_of_items_that_are_opened() -> None:
    with progress_shown(False):
        PROGRESS.add_opened(2_500)
        assert _words() == "opened 2,500 items"
