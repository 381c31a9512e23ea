"""Turn how a run ended into words: what happened at which of the learner's lines, the rule behind it, where to look."""

import linecache
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


def verdict(answer: Path, message: dict) -> Verdict:
    """The verdict on a run that reported an error, an exit, a syntax error or a value that cannot travel.

    Args:
        answer: The learner's file or package.
        message: As the child sent it.
    """
    return {"error": _error, "exit": _exit, "syntax": _syntax, "unpicklable": _unpicklable}[message["kind"]](answer, message)


def too_late(answer: Path, place: list[str], within: float, told: list[str]) -> Verdict:
    """Time was up.

    Args:
        answer: The learner's file or package.
        place: What faulthandler wrote.
        within: The deadline, in seconds.
        told: How far it got, and what the broker shows.
    """
    where, source = _place(answer, place)
    rule = rules.of_waiting(source)
    saw = f"Your program was still running after {within:g} s{where and f', {where}'}"
    return Verdict("timeout", saw="; ".join([saw, *told]) + ".", rule=rule.says, look=rule.look)


def flood(answer: Path, place: list[str], most: int) -> Verdict:
    """It printed more than *most* bytes."""
    where, _ = _place(answer, place)
    return Verdict(
        "flood",
        saw=f"Your program printed more than {most // 1024} KB and was stopped{where and f'; it was {where}'}.",
        rule="A loop that prints at every turn fills any log within minutes.",
        look="The loop around that line, and what ends it",
    )


def gone(status: int, within: float) -> Verdict:
    """The process ended without a report, with this *status* of ``os.waitpid``."""
    number = status & 0x7F
    if number == signal.SIGALRM:
        return too_late(Path(), [], within, [])
    if number:
        saw, rule = f"Your program was ended by the signal {signal.Signals(number).name}.", rules.KILLED
    else:
        saw, rule = f"Your program ended itself with exit status {status >> 8} before the function returned.", rules.EXIT
    return Verdict("exit", saw=saw, rule=rule.says, look=rule.look)


def not_portable(answer: Path, what: str) -> Verdict:
    """The value could not leave the child, or could not be rebuilt on this side."""
    return Verdict(
        "failed",
        saw=f"What your function returned could not leave your program: {what}.",
        rule="Numbers, text, lists, dicts and None travel between processes; connections and channels do not.",
        look=f"What the docstring in {shown(answer)} promises to return",
    )


def _error(answer: Path, message: dict) -> Verdict:
    if message["type"] == "NotImplementedError":
        function = f", function {message['function']}()" if message["function"] not in (None, "<module>") else ""
        return Verdict("not_started", saw=f"Not started yet: {shown(message['file'] or answer)}{function}.")
    if message["missing"]:
        return _missing(answer, message["missing"])
    rule = rules.of_error(message)
    text = _from_broker(message) or _short(message["text"])
    what = f"{message['type']}{f': {text}' if text else ''}".rstrip(".")
    if message["line"] is None:
        saw, look = f"Calling your function raised {what}.", f"The signature in your file ({shown(answer)}), beside the brief's"
    else:
        doing = "Importing your file" if message["loading"] else "Your program"
        saw, look = f"{doing} raised {what}, at {_at(message)}.", "That line, and the values in it: print them"
    if message.get("hides"):
        saw, rule = f"{saw[:-1]}; {message['hides']} was expected to come through.", rules.HIDDEN
    return Verdict("error", saw=saw, rule=rule.says if rule else "", look=rule.look if rule else look)


def _missing(answer: Path, name: str) -> Verdict:
    return Verdict(
        "error",
        saw=f"There is no `{name}` in {shown(answer)}.",
        rule="The check calls your functions by the names that the brief gives them.",
        look="The name in the brief, and in your file",
    )


def _exit(answer: Path, message: dict) -> Verdict:
    status = "" if message["status"] is None else repr(message["status"])
    where = f", at {_at(message)}" if message["line"] else ""
    saw = f"Your program ended the interpreter with SystemExit({status}){where}."
    return Verdict("exit", saw=saw, rule=rules.EXIT.says, look=rules.EXIT.look)


def _syntax(answer: Path, message: dict) -> Verdict:
    saw = f"Python cannot read {_at(message)}."
    return Verdict("syntax", saw=saw, rule=f"{message['type']}: {message['text']}.", look="That line, and the one above it")


def _unpicklable(answer: Path, message: dict) -> Verdict:
    return not_portable(answer, f"a {message['type']}")


def _at(message: dict) -> str:
    source = f": `{_short(message['source'], 100)}`" if message["source"] else ""
    return f"{Path(message['file']).name}:{message['line']}{source}"


def _place(answer: Path, lines: list[str]) -> tuple[str, str]:
    """("at file:line: `source`", source) of the learner's innermost line, the main thread's first; empty where none is known."""
    threads = re.split(r"(?m)^(?:Current thread|Thread) .*$", "\n".join(lines))
    for thread in reversed(threads):  # faulthandler writes the main thread last
        for file, line in re.findall(r'File "([^"]+)", line (\d+)', thread):
            if is_inside(file, answer):
                linecache.checkcache(file)
                source = linecache.getline(file, int(line)).strip()
                return f"at {_at({'file': file, 'line': line, 'source': source})}", source
    return "", ""


def _from_broker(message: dict) -> str:
    """RabbitMQ's own code and text, without pika's brackets; of an internal error the code alone, whose text differs between builds."""
    if message["type"] == "NackError":
        return "basic.nack"  # pika's text is about returned messages, of which there are none
    code, text = message.get("reply_code"), message.get("reply_text")
    if code is None:
        nested = re.search(r"\((\d{3})\) ['\"](.*)['\"]$", " ".join(message["text"].split()))
        code, text = (int(nested[1]), nested[2]) if nested else (None, None)
    if code is None:
        return ""
    return f"{code} INTERNAL_ERROR" if code == 541 else f"{code} {_short(text)}"


def _short(text: str, most: int = 300) -> str:
    """One line, without the attempt's own names, and not longer than a reader bears."""
    text = re.sub(r" in vhost '(attempt|walkthrough)-[^']*'", "", " ".join(text.split()))
    text = re.sub(r" for user '(attempt|walkthrough)-[^']*'", "", text)
    return text if len(text) <= most else text[:most] + " ..."
