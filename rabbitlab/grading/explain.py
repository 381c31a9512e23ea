"""Turn how a run ended into words: what happened at which of the learner's lines, the rule behind it, where to look."""

import re
import signal
from pathlib import Path

from rabbitlab.grading import rules
from rabbitlab.grading.child import is_inside
from rabbitlab.grading.verdict import Verdict
from rabbitlab.units import ROOT


def shown(path: Path | str) -> str:
    """A path as the learner knows it: below the repository, relative to it."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def verdict(answer, message: dict) -> Verdict:
    """The verdict on a run that reported an error, an exit, a syntax error or a value that cannot travel."""
    return {"error": _error, "exit": _exit, "syntax": _syntax, "unpicklable": _unpicklable}[message["kind"]](answer, message)


def too_late(answer, place: list[str], within: float, so_far, attempt) -> Verdict:
    """Time was up. *place* is what faulthandler wrote."""
    where, source = _place(answer, place)
    told = [so_far()] if so_far else []
    rule, look = rules.of_waiting(source)
    return Verdict(
        "timeout",
        saw=f"Your program was still running after {within:g} s{f', {where}' if where else ''}; {'; '.join([*told, attempt.state()])}.",
        rule=rule,
        look=look,
    )


def flood(answer, place: list[str], most: int) -> Verdict:
    """It printed too much."""
    where, _ = _place(answer, place)
    return Verdict(
        "flood",
        saw=f"Your program printed more than {most // 1024} KB and was stopped{f'; it was {where}' if where else ''}.",
        rule="A loop that prints at every turn and never waits fills any log in a minute.",
        look="The loop around that line, and what ends it.",
    )


def gone(answer, status: int, within: float) -> Verdict:
    """The process ended without a report."""
    number = status & 0x7F
    if number == signal.SIGALRM:
        return Verdict("timeout", saw=f"Your program was still running after {within:g} s.", rule=rules.of_waiting("")[0])
    how = f"ended by the signal {signal.Signals(number).name}" if number else f"ended itself with exit status {status >> 8}"
    return Verdict("exit", saw=f"Your program was {how}." if number else f"Your program {how} before the function returned.", **rules.EXIT)


def not_portable(answer, text: str) -> Verdict:
    """The value could not be rebuilt on this side."""
    return Verdict(
        "failed",
        saw=f"What your function returned could not leave your program ({text}).",
        rule="Numbers, text, lists, dicts and None travel between processes.",
        look=f"The return value that the docstring in {shown(answer.path)} promises.",
    )


def _error(answer, message: dict) -> Verdict:
    if message["type"] == "NotImplementedError":
        function = f", function {message['function']}()" if message["function"] not in (None, "<module>") else ""
        return Verdict("not_started", saw=f"Not started yet: {shown(message['file'] or answer.path)}{function}.")
    if message["missing"]:
        return _missing(answer, message["missing"])
    rule, look = rules.of_error(message)
    text = _short(message["text"])
    what = f"{message['type']}{f': {text}' if text else ''}"
    if message["line"] is None:
        saw = f"Calling your function raised {what}."
        look = look or f"The signature in your file and in its stub ({shown(answer.path)})."
    elif message["loading"]:
        saw = f"Importing your file raised {what}, at {_at(message)}."
    else:
        saw = f"Your program raised {what}, at {_at(message)}."
    return Verdict("error", saw=saw, rule=rule, look=look or "That line, and what its values are at that moment: print them.")


def _missing(answer, name: str) -> Verdict:
    return Verdict(
        "error",
        saw=f"There is no {name} in {shown(answer.path)}.",
        rule="The check calls your functions by the names that the stub gave them.",
        look=f"The name in your file; the brief, and ./lab reset {shown(answer.path)}, show the stub's.",
    )


def _exit(answer, message: dict) -> Verdict:
    status = "" if message["status"] is None else repr(message["status"])
    where = f", at {_at(message)}" if message["line"] else ""
    return Verdict("exit", saw=f"Your program ended the interpreter with SystemExit({status}){where}.", **rules.EXIT)


def _syntax(answer, message: dict) -> Verdict:
    return Verdict(
        "syntax",
        saw=f"Python cannot read {_at(message)}.",
        rule=f"{message['type']}: {message['text']}.",
        look="That line, and the one above it.",
    )


def _unpicklable(answer, message: dict) -> Verdict:
    return not_portable(answer, f"a {message['type']}")


def _at(message: dict) -> str:
    source = f": `{_short(message['source'], 100)}`" if message["source"] else ""
    return f"{Path(message['file']).name}:{message['line']}{source}"


def _place(answer, lines: list[str]) -> tuple[str, str]:
    """("at file:line: `source`", source) of the learner's innermost line, the main thread's first."""
    import linecache

    threads = re.split(r"(?m)^(?:Current thread|Thread) .*$", "\n".join(lines))
    for thread in reversed(threads):  # faulthandler writes the main thread last
        for file, line in re.findall(r'File "([^"]+)", line (\d+)', thread):
            if is_inside(file, answer.path):
                linecache.checkcache(file)
                source = linecache.getline(file, int(line)).strip()
                return f"at {_at({'file': file, 'line': line, 'source': source})}", source
    return "", ""


def _short(text: str, most: int = 300) -> str:
    """One line, without the attempt's own names, and not longer than a reader bears."""
    text = re.sub(r" in vhost '(attempt|walkthrough)-[^']*'", "", " ".join(text.split()))
    return text if len(text) <= most else text[:most] + " ..."
