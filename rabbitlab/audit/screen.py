"""The report on the screen: what failed in full, what cannot be seen with who must look, and the rest in a line each."""

import os.path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from rabbitlab.audit.checklist import sections
from rabbitlab.audit.queues import some
from rabbitlab.audit.verdict import Report, Result, Verdict

STYLES = {Verdict.FAIL: "bold red", Verdict.UNSEEN: "yellow", Verdict.PASS: "green", Verdict.NOT_APPLICABLE: "dim"}
SHORT = {Verdict.FAIL: "FAIL", Verdict.UNSEEN: "unseen", Verdict.PASS: "pass", Verdict.NOT_APPLICABLE: "n/a"}
ORDER = list(Verdict)  # worst first


def show(report: Report, console: Console | None = None) -> None:
    """Print it; readable at 80 columns."""
    console = console or Console(highlight=False)
    console.print(f"[bold]{escape(heading(report))}[/]\n{escape(source(report))}")
    for section in sections(report.results):
        console.print(f"\n[bold]{section.title}[/]  {_counted(section.results)}")
        console.print(Padding(_table(section.results, section.checklist), (0, 0, 0, 1)))
    console.print(f"\n{_counted(report.results)}", soft_wrap=True)
    console.print("What an unseen item needs is somebody who looks: all of it, with reasons, is in --html FILE and --json.", style="dim")


def heading(report: Report) -> str:
    """Which cluster it is."""
    cluster = report.cluster
    return f"{cluster['product']} {cluster['version']}, cluster {cluster['name']}, nodes: {some(cluster['nodes'], 5) or 'not shown'}"


def source(report: Report) -> str:
    """From where it was read, as whom, when."""
    read = report.read
    return f"read from {read['url']} as {read['user']} ({', '.join(read['tags']) or 'no tag'}), {read['at']}"


def _counted(results: tuple[Result, ...]) -> str:
    counts = [(verdict, sum(result.verdict is verdict for result in results)) for verdict in ORDER]
    return ", ".join(f"[{STYLES[verdict]}]{count} {verdict.value}[/]" for verdict, count in counts if count)


def _table(results: tuple[Result, ...], checklist: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=6)
    table.add_column(ratio=1, overflow="fold")
    for result in sorted(results, key=lambda result: ORDER.index(result.verdict)):
        style = STYLES[result.verdict]
        full = result.item.checklist == checklist  # the deployment checklist asks some things again
        table.add_row(f"[{style}]{SHORT[result.verdict]}[/]", "\n".join(_lines(result, full)))
    return table


def marked(text: str) -> str:
    """Text in which `code` has a colour instead of the marks."""
    pieces = [escape(piece) for piece in text.split("`")]
    return "".join(f"[cyan]{piece}[/]" if number % 2 else piece for number, piece in enumerate(pieces))


def _place(lesson: str) -> str:
    """A path with the heading in words: it breaks between words, where a narrow screen needs it."""
    path, _, anchor = os.path.normpath(lesson).partition("#")
    return f"{path}, {anchor.replace('-', ' ')}" if anchor else path


def _lines(result: Result, full: bool) -> list[str]:
    item, finding = result.item, result.finding
    if not full:
        return [f"{escape(str(item.deployment))}: [dim]as {item.id} above[/]"]
    title = f"[bold]{marked(item.title)}[/]" if finding.verdict is Verdict.FAIL else marked(item.title)
    lines = [f"{title} [dim]{item.id}[/]"]
    if finding.verdict is Verdict.FAIL:
        lines.append(escape(finding.saw))
        lines += [f"[dim]Which:[/] {escape(some(finding.objects))}"] if finding.objects else []
        lines.append(f"[dim]Why:[/] {marked(item.why)}")
        lines.append(f"[dim]Mend:[/] {marked(finding.mend or item.mend)}")
        lines.append(f"[dim]Learn:[/] {_place(item.lessons[0])}")
    elif finding.verdict is Verdict.UNSEEN:
        lines.append(escape(finding.saw))
        lines.append(f"[dim]Look:[/] {marked(item.look)}")
    else:
        lines.append(f"[dim]{escape(finding.saw)}[/]")
    return lines
