"""The site as a reader meets it. Screenshots are left in .lab/screenshots, to be looked at."""

import re

import pytest

from rabbitlab import units

from .conftest import SCREENSHOTS

pytestmark = pytest.mark.browser

MODULE = "module_1_foundations"
LESSON = f"{MODULE}/02_messaging_concepts/"
DRAWN = "article div.mermaid svg"


def shot(page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def brightness(locator, prop: str) -> float:
    """0 for black, 255 for white, of an element's colour."""
    colour = locator.evaluate(f"element => getComputedStyle(element).{prop}")
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / 3


def with_a_picture() -> str:
    """The address of a lesson that shows a picture drawn from the live broker."""
    drawing = (unit for unit in units.every() if unit.kind == "lesson" and "text/vnd.mermaid" in unit.notebook.read_text())
    return f"{next(drawing).key}/"


def test_no_page_of_any_kind_asks_another_host_and_none_scrolls_sideways(site, addresses, open_page):
    """``open_page`` fails at its end if any request went elsewhere, or a script failed."""
    assert len(addresses) >= len(units.every()) + 5
    page = open_page(site, width=400, height=800)
    too_wide = {}
    for address in addresses:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 400:
            too_wide[address] = width
    assert too_wide == {}
    page.goto(f"{site}{LESSON}")
    page.screenshot(path=SCREENSHOTS / "site-lesson-narrow.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_home_page_has_a_tab_for_each_module(site, open_page, dark):
    page = open_page(site, dark=dark)
    tabs = page.locator(".md-tabs__link").all_inner_texts()
    for module in units.modules():
        assert any(tab.startswith(module.split("_")[1]) for tab in tabs), f"no tab for {module} in {tabs}"
    shot(page, f"site-home-{'dark' if dark else 'light'}")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_code_and_its_output_are_told_apart(site, open_page, dark):
    page = open_page(f"{site}{with_a_picture()}", dark=dark)
    block = page.locator(".highlight:has(+ .output)").first
    output = page.locator(".highlight + .output").first
    assert output.bounding_box()["y"] >= block.bounding_box()["y"] + block.bounding_box()["height"] - 1

    def colour(locator) -> str:
        return locator.evaluate("element => getComputedStyle(element).backgroundColor")

    assert colour(output) != colour(block.locator("code"))
    assert colour(page.locator(".output--error").first) != colour(output) or not page.locator(".output--error").count()
    page.locator(DRAWN).first.wait_for()
    shot(page, f"site-lesson-{'dark' if dark else 'light'}")


def test_the_reader_switches_between_light_and_dark(site, open_page):
    page = open_page(f"{site}{with_a_picture()}")
    scheme = page.locator("body")
    assert scheme.get_attribute("data-md-color-scheme") == "default"
    page.get_by_title("Switch to dark").click()
    assert scheme.get_attribute("data-md-color-scheme") == "slate"
    page.reload()
    assert scheme.get_attribute("data-md-color-scheme") == "slate"
    page.locator(DRAWN).first.wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_picture_is_drawn_after_an_instant_navigation(site, open_page, dark):
    page = open_page(f"{site}{MODULE}/", dark=dark)
    page.evaluate("window.here = true")
    page.locator(f"article a[href*='{with_a_picture().split('/')[1]}']").first.click()
    page.locator(DRAWN).first.wait_for()
    assert page.evaluate("window.here") is True, "the page was loaded anew: navigation is not instant"
    for ink in (".nodeLabel p", ".edgeLabel p"):
        assert (brightness(page.locator(f"{DRAWN} {ink}").first, "color") > 128) is dark, f"{ink} cannot be read"


def test_search_finds_a_word(site, open_page):
    page = open_page(site)
    page.locator(".md-search__input").click()
    page.keyboard.type("acknowledged")
    result = page.locator(".md-search-result__link[href*='h=acknowledged']").first
    result.wait_for()
    shot(page, "site-search")
    result.click()
    page.locator("article mark:visible").first.wait_for()
    assert "quiz" not in page.url, "a search must not lead to the answers of a quiz"


def test_code_can_be_copied_and_output_cannot(site, open_page):
    page = open_page(f"{site}{LESSON}")
    page.locator("article .md-code__button").first.wait_for()
    assert page.locator("article .highlight button[title]").count() == page.locator("article .highlight pre > code").count()
    assert page.locator("article .output button").count() == 0


def test_a_lesson_links_to_its_notebook_and_to_its_neighbours(site, open_page):
    page = open_page(f"{site}{LESSON}")
    with page.expect_download() as started:
        page.locator(".notebook a[download]").click()
    assert started.value.suggested_filename == "02_messaging_concepts.ipynb"
    assert page.locator(".md-footer__link--prev").count() == page.locator(".md-footer__link--next").count() == 1


def test_a_quiz_explains_a_wrong_and_a_right_answer(site, open_page):
    page = open_page(f"{site}{MODULE}/")
    page.locator("article a[href*='quiz_module_1']").first.click()
    page.locator(".quiz").first.wait_for()
    assert page.locator(".quiz").count() == 15
    single = page.locator(".quiz:has(input[type=radio])")
    for question, chosen, name in ((single.nth(0), ":not([data-correct])", "wrong"), (single.nth(1), "[data-correct]", "right")):
        assert not question.locator("section").is_visible()
        question.locator(f"input[type=radio]{chosen}").first.click()
        question.locator(".quiz-feedback-item").first.wait_for()
        assert question.locator("section").inner_text().strip(), "no explanation"
        question.screenshot(path=SCREENSHOTS / f"site-quiz-{name}.png")
    shot(page, "site-quiz")


def test_a_quiz_can_be_read_in_the_dark(site, open_page):
    page = open_page(f"{site}{MODULE}/quiz_module_1/", dark=True)
    for button in (page.locator(".quiz-reset-all-link").first, page.locator(".md-button").first):
        assert brightness(button, "color") > 130
    page.locator(".quiz:has(input[type=radio])").first.locator("input:not([data-correct])").first.click()
    shot(page, "site-quiz-dark")
