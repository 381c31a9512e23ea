"""The MkDocs hook: under each block of code stands what it showed on the live cluster, and no page is built whose notebook is stale.

``mkdocs build`` fails on a stale, missing or unrun notebook. ``mkdocs serve`` only says so, since a learner's own changes to a
notebook must not take the pages away; it then leaves out the outputs that no longer belong to their cell.
"""

import json
import logging
import re
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import quote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import CombinedEvent, event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from rabbitlab import units
from rabbitlab.lessons import building, checking, figures, notebook, sanitize
from rabbitlab.lessons import page as pages

log = logging.getLogger("mkdocs.hooks.lessons")

MERMAID = "assets/javascripts/mermaid.js"  # also named in mkdocs.yml, first in extra_javascript
_OPTIONS = re.compile(r"[ \t]*(?:tags=\[[^\]]*\]|\.noeval)")
_SPAN = re.compile(r"</?span\b[^>]*>")
_PLACE = '<div data-recorded="{}"></div>'
_TOP = '<div data-notebook=""></div>'
_ICON = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 2h13a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H5zm5 6v8l6-4z"/></svg>'

_serving = False
_lessons: dict[str, units.Unit] = {}  # by the address of their page below docs/, as this build found them
_stale: set[units.Unit] = set()  # their notebooks are not as their pages say: of the outputs, those are shown that still belong to a cell


def on_startup(command: str, dirty: bool) -> None:
    """Remember whether pages are built to be kept, or served to a learner."""
    global _serving
    _serving = command == "serve"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Refuse stale notebooks; put the others beside their pages, and mermaid where pages load it from."""
    global _lessons
    _lessons = _by_page()
    _refuse_stale(list(_lessons.values()))
    files.append(File.generated(config, MERMAID, abs_src_path=str(package_files("mermaidx") / "assets" / "mermaid.js")))
    for uri, unit in _lessons.items():
        if unit.notebook.exists():
            files.append(File.generated(config, _notebook_uri(uri), abs_src_path=str(unit.notebook)))
    return files


@event_priority(100)  # before mkdocs_quiz, which must be told
def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Strip the options of fences, which Material would not understand, and mark where outputs go."""
    has_quiz = "<quiz>" in markdown
    page.meta.setdefault("quiz", {"enabled": has_quiz})  # or each page would carry 60 KB for quizzes that it has not
    page.meta.setdefault("search", {"exclude": has_quiz})  # or a search would show the answers
    is_lesson = page.file.src_uri in _lessons
    markdown = _marked(markdown, with_outputs=is_lesson)
    return re.sub(r"^(# .+)$", rf"\1\n\n{_TOP}\n", markdown, count=1, flags=re.MULTILINE) if is_lesson else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the recorded outputs, and the link to the notebook, where they were marked."""
    html = html.replace("<p><strong>Predict.</strong>", '<p class="predict"><strong>Predict.</strong>')
    unit = _lessons.get(page.file.src_uri)
    if unit is None:
        return html
    page.title = f"{pages.number(unit)} {page.title}" if unit.kind == "lesson" else page.title
    recorded = building.built(unit)[0] if unit in _stale else notebook.read(unit.notebook)
    for index, cell in enumerate(notebook.code_cells(recorded)):
        html = html.replace(_PLACE.format(index), "".join(shown(output) for output in sanitize.outputs(cell.outputs)))
    return html.replace(_TOP, _download(unit, page, files))


@event_priority(100)  # before the search plugin, which takes the text of a page apart tag by tag
def _without_colours(context: dict, page: Page, config: MkDocsConfig, nav: Navigation) -> dict:
    """Show the search plugin a page without the coloured pieces of its code: the same text, in a quarter of the time."""
    page.coloured, page.content = page.content, _SPAN.sub("", page.content)
    return context


@event_priority(-100)  # after it
def _with_colours(context: dict, page: Page, config: MkDocsConfig, nav: Navigation) -> dict:
    page.content = page.coloured
    return context


on_page_context = CombinedEvent(_without_colours, _with_colours)


def shown(output: dict) -> str:
    """One recorded output as HTML."""
    kind = output["output_type"]
    if kind == "stream":
        return _block(output["text"], "output--stderr" if output["name"] == "stderr" else "")
    if kind == "error":
        return _block(f"{output['ename']}: {output['evalue']}" if output["evalue"] else output["ename"], "output--error")
    data = output["data"]
    if "text/vnd.mermaid" in data:
        return f'<div class="output output--picture"><pre class="mermaid"><code>{escape(data["text/vnd.mermaid"])}</code></pre></div>\n'
    if "image/svg+xml" in data:
        return _image("data:image/svg+xml," + quote(data["image/svg+xml"]), data)
    if "image/png" in data:
        return _image("data:image/png;base64," + data["image/png"].replace("\n", ""), data)
    if "text/html" in data:
        return f'<div class="output output--html">{data["text/html"]}</div>\n'
    return _block(data.get("text/plain") or json.dumps(data, indent=2))


def _block(text: str, modifier: str = "") -> str:
    text = text.rstrip("\n")
    return f'<div class="{f"output {modifier}".strip()}"><pre tabindex="0">{escape(text)}</pre></div>\n' if text else ""


def _image(source: str, data: dict) -> str:
    return f'<div class="output output--picture"><img src="{source}" alt="{escape(figures.words(data), quote=True)}"></div>\n'


def _by_page() -> dict[str, units.Unit]:
    """The lessons and reference pages by the address of their page below docs/."""
    docs = units.ROOT / "docs"
    return {unit.page.relative_to(docs).as_posix(): unit for unit in units.every() if unit.shows_outputs}


def _notebook_uri(page_uri: str) -> str:
    return str(Path(page_uri).with_suffix(".ipynb").as_posix())


def _refuse_stale(lessons: list[units.Unit]) -> None:
    findings = {unit: checking.findings(unit) for unit in lessons}
    _stale.clear()
    _stale.update(unit for unit, found in findings.items() if found)
    told = checking.described([finding for found in findings.values() for finding in found])
    if _stale and not _serving:
        raise PluginError(told)
    if _stale:
        log.info("Some outputs are left out:\n%s", told)


def _marked(markdown: str, with_outputs: bool) -> str:
    """The page without fence options and, for a lesson, with a mark after each block that runs."""
    lines, number = markdown.split("\n"), 0
    places = {}
    for fence in pages.fences(markdown):
        lines[fence.line - 1] = _OPTIONS.sub("", lines[fence.line - 1])
        if fence.runs and with_outputs:
            places[fence.end] = number
            number += 1
    marked = []
    for line_number, line in enumerate(lines, start=1):
        marked.append(line)
        if line_number in places:
            marked += ["", _PLACE.format(places[line_number]), ""]
    return "\n".join(marked)


def _download(unit: units.Unit, page: Page, files: Files) -> str:
    file = files.get_file_from_path(_notebook_uri(page.file.src_uri))
    if file is None:
        return ""
    link = f'<a href="{escape(file.url_relative_to(page.file))}" download="{unit.stem}.ipynb">Download</a>'
    name = f"{unit.kind.capitalize()} {pages.number(unit)}"
    words = f"<b>{name}</b> as a notebook: <code>{notebook.shown(unit.notebook)}</code>"
    return f'<p class="notebook"><span>{_ICON} {words}</span>{link}</p>\n'
