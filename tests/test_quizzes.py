"""The form of the questions of every quiz. What they say is played on the cluster, in tests/test_quiz_module_*.py."""

import re

import pytest

from rabbitlab.units import ROOT

PAGES = sorted((ROOT / "docs").glob("module_*/quiz_module_*.md"))
QUESTIONS = [
    pytest.param(question, id=f"{page.stem.removeprefix('quiz_module_')}-{number}")
    for page in PAGES
    for number, question in enumerate(re.findall(r"<quiz>\n(.*?)</quiz>", page.read_text(), re.S), start=1)
]


def test_every_module_that_has_a_quiz_is_here():
    assert {page.stem for page in PAGES} >= {f"quiz_module_{number}" for number in range(1, 5)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_option_but_the_first_right_one_is_explained(question):
    """The right answers stand in bold at the top of the explanation; the list below takes the options one by one."""
    options = re.findall(r"^- \[[x ]\] ", question, re.M)
    explained = re.findall(r"^- \*", question, re.M)
    blanks = re.findall(r"\[\[[^\]]+\]\]", question)
    assert len(explained) >= (len(options) - 1 if options else len(blanks))
    assert re.search(r"^\*\*.+", question, re.M), "no answer in bold"


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_blank_loses_its_input(question):
    """mkdocs-quiz draws no input where a blank stands in backticks, and takes two brackets in code for a blank."""
    for span in re.findall(r"```.*?```|`[^`\n]*`", question, re.S):
        assert "[[" not in span
