"""The pages about production patterns quote the package, the programs and the audit as they are."""

import re
import textwrap

import pytest

from rabbitlab.audit import checklist
from rabbitlab.lessons import page as pages
from rabbitlab.units import ROOT

DOCS = ROOT / "docs/module_4_production"
LESSON = DOCS / "06_production_patterns.md"
PAGES = (LESSON, DOCS / "reference_07_patterns.md")
PROJECT = DOCS / "project_4_resilient_system.md"
NAMED = re.compile(r"^# (rabbitlab/patterns/\w+\.py)\n")


def quoted() -> list[tuple[str, str, str]]:
    """What stands on the pages as (page, file, text)."""
    found = []
    for page in PAGES:
        for fence in pages.fences(page.read_text()):
            if named := NAMED.match(fence.source):
                found.append((page.stem, named[1], fence.source[named.end() :] + "\n"))
    return found


def test_the_lesson_shows_code_of_each_pattern():
    shown = {file.rpartition("/")[2] for page, file, _ in quoted() if page == LESSON.stem}
    assert {"window.py", "consumer.py", "pool.py", "breaker.py"} <= shown


@pytest.mark.parametrize(
    ("page", "file", "text"), quoted(), ids=lambda value: value if "\n" not in value else value.split("\n")[0].strip()[:30]
)
def test_what_is_quoted_stands_in_the_file(page, file, text):
    """Line by line as it is there; ``...`` alone on a line stands for what was left out."""
    source = (ROOT / file).read_text()
    at = 0
    for part in re.split(r"^ *\.\.\.\n", text, flags=re.M):
        found = source.find(part.rstrip("\n") + "\n", at)
        assert found >= 0, f"{page} quotes {file}, which reads otherwise now:\n{textwrap.dedent(part)}"
        at = found + len(part)


def test_the_quick_start_is_that_of_the_project():
    """The commands are run in tests/test_project_4.py; here stand the same, each in a block of its own: it runs until Ctrl-C."""
    section = LESSON.read_text().partition("\n## See two programs survive\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```console\n(.*?)^```", section, re.M | re.S)
    programs = [re.findall(r"^python .*$", block, re.M) for block in blocks]
    assert blocks[0].startswith("docker compose up -d\n")
    assert [len(found) for found in programs] == [1] * len(blocks)
    assert [line for found in programs for line in found] == re.findall(r"^python solutions/\S+\.py$", PROJECT.read_text(), re.M)


def test_the_log_lines_that_are_explained_are_written():
    """Each piece of a line in the table stands in the package."""
    table = PAGES[1].read_text().partition("\n## What the log says\n")[2].partition("\n## ")[0]
    explained = [piece for row in re.findall(r"^\| [A-Z]+ .*$", table, re.M) for piece in re.findall(r"`([^`]+)`", row)]
    written = "".join(file.read_text() for file in (ROOT / "rabbitlab/patterns").glob("*.py"))
    assert len(explained) > 10
    assert [piece for piece in explained if piece not in written] == []


def test_the_deployment_checklist_names_checks_that_there_are():
    table = (DOCS / "reference_06_operations.md").read_text().partition("## The deployment checklist, item by item")[2]
    rows = re.findall(r"^\| (?!---|item)(.+?) \|.*\| ([^|]+) \|$", table, re.M)
    known = {item.id for item in checklist.ITEMS}
    assert len(rows) == 10
    for item, checks in rows:
        named = re.findall(r"`([\w-]+)`", checks)
        assert named, f"{item} names no check"
        assert set(named) <= known, f"{item}: {checks}"
