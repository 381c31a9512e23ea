"""What a learner sees: the checks as sentences, the feedback in at most four lines, what their program printed."""

import shutil
import textwrap

from rabbitlab.grading.explain import shown
from rabbitlab.grading.feedback import LABELS
from rabbitlab.grading.results import FAILED, NOT_REACHED, PASSED, Check, Results

SIGNS = {PASSED: ("✓", "ok", {"green": True}), FAILED: ("✗", "NO", {"red": True}), NOT_REACHED: ("·", "..", {"light": True})}
LAST_LINES = 10


class Screen:
    """Writes to pytest's terminal.

    Args:
        writer: pytest's TerminalWriter.
    """

    def __init__(self, writer):
        self._writer = writer
        self._plain = not _can_write(writer, "✓✗·")
        self._titled: set[str] = set()

    def title(self, results: Results) -> None:
        """The exercise and the file that is marked, once."""
        if results.key not in self._titled:
            self._titled.add(results.key)
            self._writer.line()
            self._writer.line(results.title.rstrip("."), bold=True)
            self._writer.line(f"{shown(results.answer)}", light=True)
            self._writer.line()

    def check(self, check: Check, results: Results) -> None:
        """One line for one check. In an exercise that was not started none counts as reached."""
        outcome = NOT_REACHED if results.verdict == "not_started" else check.outcome
        sign, plain, markup = SIGNS[outcome]
        self._writer.write(f"  {plain if self._plain else sign} ", **markup)
        self._writer.line(check.sentence, **({"light": True} if outcome == NOT_REACHED else {}))

    def end(self, results: Results) -> None:
        """What was not reached, the feedback of the failed check, and the sum."""
        for check in results.checks:
            if check.outcome == NOT_REACHED:
                self.check(check, results)
        failed = [c for c in results.checks if c.outcome == FAILED]
        self._writer.line()
        for kept in results.kept:
            self._writer.line(f"  {kept}", bold=True)
        if results.kept:
            self._writer.line()
        if results.verdict == "not_started":
            self._writer.line(failed[0].feedback[0], bold=True)
        elif results.verdict == "broken":
            self._writer.line(results.broken)
            self._writer.line("The check itself stumbled: that is the course's mistake and not yours.", red=True)
        else:
            for check in failed:
                self._feedback(check)
            self._printed(results.printed if failed else "")
        self._sum(results)

    def sentence(self, text: str) -> None:
        """One sentence in place of any result."""
        self._writer.line(text, red=True)

    def _feedback(self, check: Check) -> None:
        for label, part in zip(LABELS, check.feedback, strict=False):
            if part:
                self._writer.write(f"  {label:5}", bold=True)
                indent = "\n" + " " * 7
                self._writer.line(indent.join(_wrapped(part)))
        self._writer.line()

    def _printed(self, printed: str) -> None:
        lines = printed.rstrip().splitlines()
        if lines:
            more = f", the last {LAST_LINES} of {len(lines)} lines" if len(lines) > LAST_LINES else ""
            self._writer.line(f"  Your program printed{more}:", bold=True)
            for line in lines[-LAST_LINES:]:
                self._writer.line(f"    {line[:200]}", light=True)
            self._writer.line()

    def _sum(self, results: Results) -> None:
        passed = sum(c.outcome == PASSED for c in results.checks)
        text = f"{passed} of {len(results.checks)} checks passed in {results.seconds:.1f} s."
        self._writer.line(text, **({"green": True} if results.passed else {"red": True}))


def _wrapped(text: str) -> list[str]:
    width = max(40, min(shutil.get_terminal_size((200, 24)).columns, 200) - 8)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _can_write(writer, text: str) -> bool:
    try:
        text.encode(getattr(writer._file, "encoding", None) or "utf-8")
        return True
    except (UnicodeEncodeError, LookupError):
        return False
