"""Read a page: its fences with their lines, and what in it would go wrong on the way to a notebook."""

import re
from dataclasses import dataclass
from pathlib import Path

from rabbitlab.units import Unit

# What jupytext would turn into a cell of its own (``%%sh``); console, text, json, yaml and mermaid stay text.
EXECUTED = re.compile(
    r"R|bash|c\#|c\+\+|clojure|coconut|cs|csharp|cython|f\#|fs|fsharp|gnuplot|go|groovy|haskell|html|idl|"
    r"java|javascript|jenner|js|julia|latex|logtalk|lua|markdown|matlab|maxima|ocaml|octave|perl|powershell|"
    r"pypy|python2|python3|q|robotframework|ruby|rust|sage|sas|scala|scheme|script|sh|sos|spark|sql|stata|"
    r"svg|tcl|typescript|xonsh",
    re.IGNORECASE,
)
KNOWN_TAGS = frozenset({"raises-exception", "nbval-ignore-output", "nbval-skip", "measured"})
_FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_TAGS = re.compile(r"tags=\[(?P<tags>[^\]]*)\]")


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page.

    Attributes:
        line: Line of the opening fence, counted from 1.
        end: Line of the closing fence.
        indent: What stands before the fence; a block in a list or a quote is never run.
        marks: The backticks themselves.
        language: ``python``, ``console`` ...
        options: What follows the language: ``tags=["raises-exception"]``, ``.noeval``.
        source: The text between the fences.
    """

    line: int
    end: int
    indent: str
    marks: str
    language: str
    options: str
    source: str

    @property
    def runs(self) -> bool:
        """Whether this block becomes a code cell."""
        return self.language == "python" and not self.indent and not self.shown_only

    @property
    def shown_only(self) -> bool:
        """Whether the block is marked as never to be run."""
        return ".noeval" in self.options.split()

    @property
    def tags(self) -> list[str]:
        match = _TAGS.search(self.options)
        return [tag.strip().strip("\"'") for tag in match["tags"].split(",")] if match else []


def title(path: Path) -> str:
    """The first heading of a page."""
    heading = re.search(r"^# +(.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return heading[1].strip() if heading else path.stem


def number(unit: Unit) -> str:
    """``1.4``: how other pages, hints and feedback name a lesson. A reference page has the number of the lesson that it belongs to."""
    parts = unit.stem.split("_")
    return f"{unit.module.split('_')[1]}.{int(parts[1] if unit.kind == 'reference' else parts[0])}"


def without_front_matter(text: str) -> str:
    """The page with its front matter blanked out, so that line numbers stay."""
    match = _FRONT_MATTER.match(text)
    return "\n" * text.count("\n", 0, match.end()) + text[match.end() :] if match else text


def fences(text: str) -> list[Fence]:
    """Every fenced block of a page, in order."""
    found, lines, start = [], text.splitlines(), 0
    while start < len(lines):
        opening = _FENCE.match(lines[start])
        if opening is None:
            start += 1
            continue
        end = _closing(lines, start + 1, opening["marks"])
        language, _, options = opening["info"].strip().partition(" ")
        source = "\n".join(lines[start + 1 : end])
        found.append(Fence(start + 1, end + 1, opening["indent"], opening["marks"], language, options.strip(), source))
        start = end + 1
    return found


def problems(text: str) -> list[tuple[int, str]]:
    """What would go wrong between this page and its notebook, as (line, sentence)."""
    found = []
    for fence in fences(text):
        if EXECUTED.fullmatch(fence.language) and ".noeval" not in fence.options.split():
            found.append(
                (fence.line, f"a ```{fence.language} block would be run as a cell: write ```console, or ```{fence.language} .noeval.")
            )
        if fence.language == "python" and fence.indent and not fence.shown_only:
            found.append((fence.line, "an indented ```python block is never run: move it to the margin, or mark it .noeval."))
        if unknown := sorted(set(fence.tags) - KNOWN_TAGS):
            found.append((fence.line, f"unknown tag {', '.join(unknown)}: the known ones are {', '.join(sorted(KNOWN_TAGS))}."))
        rest = _TAGS.sub("", fence.options).replace(".noeval", "").strip()
        if fence.language == "python" and rest:
            found.append((fence.line, f'unknown option {rest!r}: write tags=["..."] or .noeval.'))
    return found


def _closing(lines: list[str], start: int, marks: str) -> int:
    """Index of the line that closes a fence opened with *marks*; the last line when nothing does."""
    for index in range(start, len(lines)):
        stripped = lines[index].lstrip(" \t>").rstrip()
        if stripped and set(stripped) == {marks[0]} and len(stripped) >= len(marks):
            return index
    return len(lines)
