"""Run the learner's answer in a process of its own, with a deadline, and say how it ended."""

import contextlib
import io
import os
import pickle
import select
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rabbitlab.grading import child, explain
from rabbitlab.grading.verdict import Verdict

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

    def __init__(self, path: Path, name: str, attempt):
        self.path = path
        self.name = name
        self._attempt = attempt
        self.printed = ""  # by the run that ended last

    def run(
        self, fn: Callable, within: float = 10, raises: tuple[type[BaseException], ...] = (), so_far: Callable[[], str] | None = None
    ) -> Run:
        """Run ``fn(mine)`` in a forked process and wait for its end; then the broker has noticed that its connections are gone.

        Args:
            fn: Gets the learner's module. A lambda will do. What it returns must be picklable.
            within: Seconds, after which the process and all it started are killed.
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
    """A run in the background.

    Attributes:
        pid: Its process.
    """

    def __init__(self, answer: Answer, attempt, fn, within: float, raises: tuple, so_far):
        self._answer, self._attempt, self._within, self._so_far = answer, attempt, within, so_far
        self._raises = tuple(raises) if isinstance(raises, (tuple, list)) else (raises,)
        self._output, self._message = bytearray(), bytearray()
        self._ended = self._killed = False
        self._status: int | None = None
        self._seconds = 0.0
        self._run: Run | None = None
        self._verdict: Verdict | None = None
        self._place = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the run
        self._fork(fn)
        attempt._running.append(self)

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
        return self._result()

    def look(self) -> None:
        """Take in what it printed, and raise its verdict when it has failed already."""
        self._pump(0)
        if self._verdict:
            raise self._verdict

    def kill(self) -> None:
        """Kill the process and all that it started, as a power cut would. Its connections are gone when this returns."""
        if not self._ended:
            self._killed = True
            self._end()
            self._attempt.settle()

    def _result(self) -> Run:
        if self._verdict:
            raise self._verdict
        return self._run

    def _fork(self, fn) -> None:
        output, output_end = os.pipe()
        report, report_end = os.pipe()
        self._started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads about: the graders' process has none at work
            self.pid = os.fork()
        if self.pid == 0:
            os.close(output)
            os.close(report)
            self._attempt._running.clear()  # the other runs are no children of this process
            child.live(self._answer.path, self._answer.name, fn, self._raises, self._within, output_end, report_end, self._place.fileno())
        os.close(output_end)
        os.close(report_end)
        os.set_blocking(output, False)
        os.set_blocking(report, False)
        self._pipes = {output: self._output, report: self._message}

    def _pump(self, timeout: float) -> None:
        """Read what there is, and end the run when it is over, too late or too loud."""
        if self._ended:
            return
        left = self._within - (time.monotonic() - self._started)
        self._read(max(0, min(timeout, left)))
        if len(self._output) > MOST_OUTPUT:
            self._fail(explain.flood(self._answer.path, self._where_it_is(), MOST_OUTPUT))
        elif self._complete() or self._exited():
            self._end()
        elif left <= 0:
            told = [self._so_far()] if self._so_far else []
            told.append(self._attempt.state())
            self._fail(explain.too_late(self._answer.path, self._where_it_is(), self._within, told))

    def _read(self, timeout: float) -> None:
        if not self._pipes:
            time.sleep(min(timeout, 0.02))
            return
        for fd in select.select(list(self._pipes), [], [], timeout)[0]:
            data = os.read(fd, 65536)
            self._pipes[fd] += data
            if not data:
                self._close(fd)

    def _close(self, fd: int) -> None:
        os.close(fd)
        del self._pipes[fd]

    def _complete(self) -> bool:
        return len(self._message) >= 8 and len(self._message) >= 8 + int.from_bytes(self._message[:8], "big")

    def _exited(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def _where_it_is(self) -> list[str]:
        """Ask the process where it is: the lines that faulthandler writes, innermost frame first."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        end, text = time.monotonic() + 0.5, b""
        while time.monotonic() < end:
            time.sleep(0.02)
            before, text = text, os.pread(self._place.fileno(), 65536, 0)
            if text and text == before:
                break
        return text.decode(errors="replace").splitlines()

    def _fail(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._end()

    def _end(self) -> None:
        """Kill the whole group, take in the last output, and conclude."""
        self._ended = True
        self._seconds = time.monotonic() - self._started
        for kill in (os.killpg, os.kill):  # the group is there once the child has made it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if kill is os.killpg or self._status is None:
                    kill(self.pid, signal.SIGKILL)
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        while self._pipes and select.select(list(self._pipes), [], [], 0)[0] and len(self._output) <= MOST_OUTPUT + 65536:
            self._read(0)
        for fd in list(self._pipes):
            self._close(fd)
        self._place.close()
        self._attempt._running.remove(self)
        self._answer.printed = self._printed()
        if not self._verdict:
            self._conclude()

    def _conclude(self) -> None:
        if self._killed:
            self._run = Run(None, self._printed(), self._seconds)
        elif not self._complete():
            self._verdict = explain.gone(self._status, self._within)
        else:
            self._take(pickle.loads(bytes(self._message[8:])))

    def _take(self, message: dict) -> None:
        if message["kind"] == "value":
            try:
                self._run = Run(_Rebuilder(io.BytesIO(message["value"])).load(), self._printed(), self._seconds)
            except Exception as error:
                self._verdict = explain.not_portable(self._answer.path, str(error))
        elif "error" in message:
            self._run = Run(None, self._printed(), self._seconds, error=_unpacked(*message["error"]))
        else:
            self._verdict = explain.verdict(self._answer.path, message)

    def _printed(self) -> str:
        return bytes(self._output[:MOST_OUTPUT]).decode(errors="replace")


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
