"""JupyterLab as `./lab start` opens it."""

import pytest

from rabbitlab import units
from rabbitlab.lessons.page import title

from .conftest import SCREENSHOTS

pytestmark = pytest.mark.browser

LESSONS = [unit for unit in units.every() if unit.kind == "lesson"]
PROSE = ".jp-RenderedMarkdown:visible"


def opened(page):
    """The page, when the welcome notebook is on it."""
    page.locator(f"{PROSE} h1", has_text="RabbitMQ by doing").wait_for(timeout=60_000)
    return page


@pytest.fixture
def lab(jupyter, open_page, request):
    """JupyterLab on the welcome page, in a workspace of the test's own: an open tab would be there again in the next test."""
    address, token = jupyter.split("?")
    return opened(open_page(f"{address}lab/workspaces/{request.node.name}/tree/notebooks/welcome.ipynb?{token}", width=1400))


def test_it_opens_on_the_welcome_page_with_the_lessons_beside_it(jupyter, open_page):
    lab = opened(open_page(jupyter, width=1400))
    for unit in LESSONS:
        assert lab.locator(f"{PROSE} a", has_text=title(unit.page)).count() == 1
    assert lab.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text="welcome.ipynb").is_visible()
    assert lab.locator(".jp-DirListing-item", has_text="module_1_foundations").is_visible()
    assert lab.locator(".Toastify__toast").count() == 0, "a pop-up covers the page"
    lab.screenshot(path=SCREENSHOTS / "lab-welcome.png")


def test_a_link_opens_the_lesson_and_its_picture_is_drawn(lab):
    unit = next(unit for unit in LESSONS if "text/vnd.mermaid" in unit.notebook.read_text())
    lab.locator(f"{PROSE} a", has_text=title(unit.page)).click()
    lab.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text=unit.notebook.name).wait_for()
    lab.locator(f"{PROSE} h1", has_text=title(unit.page)).wait_for()
    picture = lab.locator(".jp-OutputArea .jp-RenderedMermaid :is(img, svg)").first
    picture.scroll_into_view_if_needed()
    assert picture.bounding_box()["width"] > 50
    lab.screenshot(path=SCREENSHOTS / "lab-topology.png")


def test_a_page_opens_rendered(lab):
    lab.locator(".jp-BreadCrumbs-home").click()
    for folder in ("docs", "module_1_foundations"):
        lab.locator(".jp-DirListing-item", has_text=folder).first.dblclick()
    lab.locator(".jp-DirListing-item", has_text="01_introduction.md").dblclick()
    page = lab.locator(".jp-MarkdownViewer h1")
    page.wait_for()
    assert page.inner_text() == title(LESSONS[0].page)
    lab.screenshot(path=SCREENSHOTS / "lab-page.png")


def test_looking_at_a_notebook_does_not_change_it(lab):
    lesson = LESSONS[0]
    before = lesson.notebook.read_bytes()
    lab.locator(f"{PROSE} a", has_text=title(lesson.page)).click()
    lab.locator(f"{PROSE} h1", has_text=title(lesson.page)).wait_for()
    lab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]:visible").wait_for()
    assert lesson.notebook.read_bytes() == before


@pytest.mark.cluster
def test_a_cell_runs(lab):
    cell = lab.locator(".jp-CodeCell").first
    cell.locator(".cm-content").click()
    lab.keyboard.press("Shift+Enter")
    lab.locator(".jp-CodeCell .jp-InputPrompt", has_text="[1]:").first.wait_for()
    lab.locator(".jp-OutputArea-output", has_text="['rabbit1', 'rabbit2', 'rabbit3']").first.wait_for()
