"""Run the learner's answer in a process of its own, with a deadline, and say how it ended."""

import contextlib
import io
import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rabbitlab.grading import explain
from rabbitlab.grading.process import Process
from rabbitlab.grading.verdict import Verdict
from rabbitlab.units import ROOT, STATE

MOST_OUTPUT = 256 * 1024  # bytes


@dataclass(frozen=True)
class Run:
    """How a run of the answer ended.

    Attributes:
        value: What the grader's function returned; None when an expected exception ended it, or the grader killed it.
        printed: Everything that the program printed.
        seconds: How long it took.
        error: The exception, when it was one of ``raises``.
    """

    value: object
    printed: str
    seconds: float
    error: BaseException | None = None


class Answer:
    """The learner's answer, ready to be run as often as the grader wants.

    Attributes:
        path: The file, or the folder of the package.
        name: The name under which it is imported: the stem of the exercise.
    """

    def __init__(self, path: Path, name: str, attempt, kept: list[str] | None = None):
        self.path = path
        self.name = name
        self._attempt = attempt
        self._kept = [] if kept is None else kept
        self.printed = ""  # by the run that ended last

    def keep(self, name: str, what: str = "") -> Path:
        """Where to keep a file that belongs to this attempt: ``.lab/attempts/<the answer's path>/<name>``.

        Args:
            name: Of the file. The attempt before has left its own there; it is gone.
            what: Names the file to the learner, before any feedback: "Timeline of the run".
        """
        under = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else Path(self.path.name)
        path = STATE / "attempts" / under / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if what:
            self._kept.append(f"{what}: {path.relative_to(ROOT)}")
        return path

    def run(
        self, fn: Callable, within: float = 10, raises: tuple[type[BaseException], ...] = (), so_far: Callable[[], str] | None = None
    ) -> Run:
        """Run ``fn(mine)`` in a forked process and wait for its end; then the broker has noticed that its connections are gone.

        Args:
            fn: Gets the learner's module. A lambda will do. What it returns must be picklable.
            within: Seconds, after which the process and all it started are killed. Those in which the machine stood still do not count.
            raises: Exceptions that the grader wants to see: they become ``Run.error``.
            so_far: Says, when time is up, how far the answer got ("2 of 5 orders were acknowledged").

        Raises:
            Verdict: time was up, or the program ended in any other way than by returning.
        """
        return self.start(fn, within, raises, so_far).wait()

    def start(
        self, fn: Callable, within: float = 10, raises: tuple[type[BaseException], ...] = (), so_far: Callable[[], str] | None = None
    ) -> "Running":
        """The same in the background; several may run at once. What still runs when the check ends is killed."""
        if not self.path.exists():
            raise Verdict("not_started", saw=f"Not started yet: there is no {explain.shown(self.path)}.")
        return Running(self, self._attempt, fn, within, raises, so_far)


class Running:
    """A run in the background."""

    def __init__(self, answer: Answer, attempt, fn, within: float, raises: tuple, so_far):
        self._answer, self._attempt, self._within, self._so_far = answer, attempt, within, so_far
        self._ended = False
        self._run: Run | None = None
        self._verdict: Verdict | None = None
        expected = tuple(raises) if isinstance(raises, (tuple, list)) else (raises,)
        self._process = Process(answer.path, answer.name, fn, expected, within, forget=attempt._running.clear)
        attempt._running.append(self)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        self._pump(0)
        return not self._ended

    def wait(self) -> Run:
        """Wait for its end, at most until its deadline.

        Raises:
            Verdict: as in :meth:`Answer.run`.
        """
        while not self._ended:
            self._pump(0.05)
        self._attempt.settle()
        if self._verdict:
            raise self._verdict
        return self._run

    def look(self) -> None:
        """Take in what it printed, and raise its verdict when it has failed already."""
        self._pump(0)
        if self._verdict:
            raise self._verdict

    def kill(self) -> None:
        """Kill the process and all that it started, as a power cut would. Its connections are gone when this returns."""
        if not self._ended:
            self._end(lambda: None)
            self._attempt.settle()

    def terminate(self) -> None:
        """Ask the process to end, as ``docker stop`` does: SIGTERM, once. It may take its time; :meth:`wait` and :attr:`alive` tell.

        An answer that has no handler for the signal is ended by it: then :meth:`wait` raises the verdict on a program that is gone.
        """
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)

    def _pump(self, timeout: float) -> None:
        """Read what there is, and end the run when it is over, too late or too loud."""
        if self._ended:
            return
        left = self._within - self._process.seconds
        self._process.read(max(0, min(timeout, left)))
        if len(self._process.output) > MOST_OUTPUT:
            place = self._process.place()
            self._end(lambda: explain.flood(self._answer.path, place, MOST_OUTPUT))
        elif self._process.is_over():
            self._end(self._judge)
        elif left <= 0:
            told = [self._so_far()] if self._so_far else []
            told.append(self._attempt.state())
            place = self._process.place()
            self._end(lambda: explain.too_late(self._answer.path, place, self._within, told))

    def _end(self, judge: Callable[[], Verdict | None]) -> None:
        """End the process, keep what it printed, and let *judge* say what to make of it."""
        self._ended = True
        seconds = self._process.seconds
        self._process.end()
        self._attempt._running.remove(self)
        self._answer.printed = bytes(self._process.output[:MOST_OUTPUT]).decode(errors="replace")
        self._run = Run(None, self._answer.printed, seconds)
        self._verdict = judge()

    def _judge(self) -> Verdict | None:
        """The verdict on a process that ended by itself; None when its run is a result."""
        if len(self._process.output) > MOST_OUTPUT:  # with its last words
            return explain.flood(self._answer.path, [], MOST_OUTPUT)
        if self._process.report is None:
            return explain.gone(self._process.status, self._within)
        message = pickle.loads(self._process.report)
        if message["kind"] == "value":
            return self._take(message["value"])
        if message["kind"] == "verdict":
            return message["verdict"]
        if "error" in message:
            self._run = replace(self._run, error=_unpacked(*message["error"]))
            return None
        return explain.verdict(self._answer.path, message)

    def _take(self, value: bytes) -> Verdict | None:
        try:
            self._run = replace(self._run, value=_Rebuilder(io.BytesIO(value)).load())
        except Exception as error:
            return explain.not_portable(self._answer.path, str(error))
        return None


class _Rebuilder(pickle.Unpickler):
    """Rebuilds a value without importing anything: a class of the learner's would run their program in the grader's process."""

    def find_class(self, module, name):
        if module not in sys.modules:
            raise pickle.UnpicklingError(f"an object of the class {name}")
        return super().find_class(module, name)


def _unpacked(whole: bytes | None, expected: type[BaseException], texts: list[str]) -> BaseException:
    """The exception as it was; where it cannot travel, one of the expected class with the same words."""
    if whole is not None:
        with contextlib.suppress(Exception):
            return pickle.loads(whole)
    error = expected.__new__(expected)
    error.args = tuple(texts)
    return error
