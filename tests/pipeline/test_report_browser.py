"""The report's page in a real browser: it renders, loads nothing, and everybody can read it.

The browser is the system's own Chromium (Debian: ``apt-get install chromium``); without one these tests skip.
"""

from __future__ import annotations

import copy
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.report_build import build_report
from pipelines.report_html import CONTENTS, report_html
from tests.pipeline.report_world import MARKUP, make_world, mark, request
from validation.report_document import Report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = (390, 844), (1280, 900)
VIEWS = [(size, scheme) for size in (PHONE, DESKTOP) for scheme in ("light", "dark")]
CUT_OFF = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)"
"""Tables that go on beyond the edge."""

SERIOUS = ("serious", "critical")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(request(make_world(tmp_path_factory.mktemp("world"), releases=1)))


@pytest.fixture(scope="module")
def page_file(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report_html(report), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Opened:
    """The page as a browser has opened it, with all that it asked for and complained of."""

    def __init__(self, browser: Any, file: Path, size: tuple[int, int], scheme: str) -> None:
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=True
        )
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route("**/*", self._take)
        self.page.goto(file.as_uri())

    def _take(self, route: Any) -> None:
        self.requests.append(route.request.url)
        if route.request.url.startswith("file://"):
            route.continue_()
        else:
            route.abort()


@pytest.fixture(params=VIEWS, ids=lambda view: f"{view[0][0]}-{view[1]}")
def opened(browser: Any, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    found = Opened(browser, page_file, *request.param)
    yield found
    found.context.close()


def test_it_renders_asks_for_nothing_and_everybody_can_read_it(opened: Opened, page_file: Path) -> None:
    page = opened.page
    assert page.title().startswith("Governance report")
    assert page.locator(".figure").all_inner_texts() == ["0", "0"]
    assert all(box["width"] > 100 for chart in page.locator("svg").all() if (box := chart.bounding_box()))
    assert opened.requests == [page_file.as_uri()]
    assert opened.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".scroll").evaluate_all(CUT_OFF) == []
    assert "`" not in page.locator("body").inner_text()
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["help"]) for one in found if one["impact"] in SERIOUS] == []


def test_every_entry_of_the_contents_leads_somewhere(browser: Any, page_file: Path) -> None:
    page = Opened(browser, page_file, DESKTOP, "light").page
    links = page.locator("nav a")
    assert links.count() == len(CONTENTS)
    targets = [link.get_attribute("href") for link in links.all()]
    assert [target for target in targets if page.locator(str(target)).count() != 1] == []
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_every_table_has_a_caption_and_scoped_heads(browser: Any, page_file: Path) -> None:
    page = Opened(browser, page_file, DESKTOP, "light").page
    tables = page.locator("table").count()
    assert tables > 10
    assert page.locator("table > caption").count() == tables
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("script").count() == 0


def test_it_looks_different_by_night(browser: Any, page_file: Path) -> None:
    colours = {
        Opened(browser, page_file, PHONE, scheme).page.evaluate("getComputedStyle(document.body).color")
        for scheme in ("light", "dark")
    }
    assert len(colours) == 2


def test_it_prints_to_a_clean_document(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, DESKTOP, "dark")
    document = opened.page.pdf(prefer_css_page_size=True)
    assert document.startswith(b"%PDF-")
    assert 3 < document.count(b"/Type /Page\n") + document.count(b"/Type /Page ") < 60
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_markup_in_the_registry_does_nothing(browser: Any, report: Report, tmp_path: Path) -> None:
    marked = copy.deepcopy(report)
    mark(marked, MARKUP)
    file = tmp_path / "marked.html"
    file.write_text(report_html(marked), encoding="utf-8")
    opened = Opened(browser, file, DESKTOP, "light")
    assert opened.requests == [file.as_uri()]
    assert opened.complaints == []
    assert opened.page.locator("script, img, iframe").count() == 0
    assert "<script>alert(1)</script>" in opened.page.locator("body").inner_text()
