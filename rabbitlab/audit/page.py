"""The report as one HTML page that needs nothing else: to be kept, sent, printed; readable in light and dark."""

import os.path
from html import escape
from pathlib import Path

from rabbitlab.audit.checklist import Part, sections
from rabbitlab.audit.screen import ORDER, heading, source
from rabbitlab.audit.verdict import Report, Result, Verdict
from rabbitlab.errors import Mendable

MOST = 24  # objects an item shows; all of them are in the JSON
CLASSES = {Verdict.FAIL: "fail", Verdict.UNSEEN: "unseen", Verdict.PASS: "pass", Verdict.NOT_APPLICABLE: "na"}
STYLE = Path(__file__).with_name("page.css")


def write(report: Report, path: str) -> None:
    """Write the page.

    Raises:
        Mendable: there is no writing there.
    """
    try:
        Path(path).write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise Mendable(f"--html {path} cannot be written: {error.strerror}") from None


def page(report: Report) -> str:
    """The page's HTML."""
    parts = sections(report.results)
    title = f"Audit of {report.cluster['name']}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE.read_text()}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{escape(heading(report))}<br>{escape(source(report))}</p>
<ul class="counts">{"".join(_count(report, verdict) for verdict in ORDER)}</ul>
</header>
<nav aria-label="Sections"><ul>{"".join(_entry(part) for part in parts)}</ul></nav>
<main>
{"".join(_section(part) for part in parts)}</main>
<footer><p>Read-only, by <code>./lab audit</code> of the course RabbitMQ by doing. Lessons are paths in the course.</p></footer>
</body>
</html>
"""


def _count(report: Report, verdict: Verdict) -> str:
    return f'<li class="{CLASSES[verdict]}"><b>{report.count(verdict)}</b> {verdict.value}</li>'


def _entry(part: Part) -> str:
    failed = sum(result.verdict is Verdict.FAIL for result in part.results)
    return f'<li><a href="#{_anchor(part)}">{escape(part.title)}</a>{f" <b>{failed}</b>" if failed else ""}</li>'


def _anchor(part: Part) -> str:
    return part.title.lower().replace(":", "").replace(" ", "-")


def _section(part: Part) -> str:
    ordered = sorted(part.results, key=lambda result: ORDER.index(result.verdict))
    items = "\n".join(_item(result, again=result.item.checklist != part.checklist) for result in ordered)
    return f'<section id="{_anchor(part)}">\n<h2>{escape(part.title)}</h2>\n{items}\n</section>\n'


def _item(result: Result, again: bool) -> str:
    item, finding, kind = result.item, result.finding, CLASSES[result.verdict]
    badge = f'<span class="badge">{result.verdict.value}</span>'
    if again:
        told = f'<h3>{_code(str(item.deployment))}</h3><p>See <a href="#{item.id}">{item.id}</a>.</p>'
        return f'<article class="{kind}">{badge}<div>{told}</div></article>'
    body = [f"<h3>{_code(item.title)} <small>{item.id}</small></h3>", f"<p>{escape(finding.saw)}</p>"]
    if finding.objects:
        body.append(f"<ul class='objects'>{_objects(finding.objects)}</ul>")
    if result.verdict in (Verdict.FAIL, Verdict.UNSEEN):
        rows = {"Why": _code(item.why)}
        if result.verdict is Verdict.FAIL:
            rows["Mend"] = _code(finding.mend or item.mend)
        else:
            rows["Who looks, and how"] = _code(item.look)
        rows["Lesson"] = "<br>".join(_lesson(lesson) for lesson in item.lessons)
        body.append("<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows.items()) + "</dl>")
    return f'<article class="{kind}" id="{item.id}">{badge}<div>{"".join(body)}</div></article>'


def _objects(objects: tuple[str, ...]) -> str:
    shown = "".join(f"<li>{escape(each)}</li>" for each in objects[:MOST])
    return shown + (f"<li>and {len(objects) - MOST:,} more</li>" if len(objects) > MOST else "")


def _lesson(lesson: str) -> str:
    path, _, anchor = os.path.normpath(lesson).partition("#")
    return escape(f"{path}, {anchor.replace('-', ' ')}" if anchor else path)


def _code(text: str) -> str:
    """Text whose `code` is marked as in Markdown."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
