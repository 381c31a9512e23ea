"""A forked process with its pipes: started, read from, asked where it is, and ended with all that it started."""

import contextlib
import os
import select
import signal
import tempfile
import time
import warnings
from pathlib import Path

from rabbitlab import stalls
from rabbitlab.grading import child

A_PIPE = 65536  # bytes that a pipe holds


class Process:
    """Runs ``fn(mine)`` in a child; knows nothing of verdicts.

    Args:
        answer: The learner's file, or the folder of their package.
        name: Under which it is imported.
        fn: Called with the imported module.
        raises: Exceptions that are an answer, too.
        within: Seconds, after which (and some grace) the child ends by itself.
        forget: Called in the child: what belongs to the parent alone.

    Attributes:
        pid: The child.
        output: What it has printed so far.
        status: Of ``os.waitpid``; None while it runs.
    """

    def __init__(self, answer: Path, name: str, fn, raises: tuple, within: float, forget):
        self.output = bytearray()
        self.status: int | None = None
        self._report = bytearray()
        self._started = stalls.clock()
        self._place = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        output, output_end = os.pipe()
        report, report_end = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a grader's threads (a proxy, say) do not live on in the child
            self.pid = os.fork()
        if self.pid == 0:
            forget()
            child.live(answer, name, fn, raises, within, output_end, report_end, self._place.fileno())
        os.close(output_end)
        os.close(report_end)
        self._pipes = {output: self.output, report: self._report}

    @property
    def seconds(self) -> float:
        """Since it was started, without those in which this machine stood still: the child stood still, too."""
        return stalls.clock() - self._started

    @property
    def report(self) -> bytes | None:
        """What the child reported; None unless it is complete."""
        whole = len(self._report) >= 8 and len(self._report) >= 8 + int.from_bytes(self._report[:8], "big")
        return bytes(self._report[8:]) if whole else None

    def read(self, timeout: float) -> None:
        """Take in what it printed and reported, for at most *timeout* seconds."""
        if not self._pipes:
            time.sleep(min(timeout, 0.02))
            return
        for fd in select.select(list(self._pipes), [], [], timeout)[0]:
            data = os.read(fd, A_PIPE)
            self._pipes[fd] += data
            if not data:
                self._close(fd)

    def is_over(self) -> bool:
        """True once it has reported, or is gone."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None or self.report is not None

    def place(self) -> list[str]:
        """Where it is: the lines that faulthandler writes, innermost frame first. Empty when it does not say so within half a second."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        end, text = stalls.clock() + 0.5, b""
        while stalls.clock() < end:
            time.sleep(0.02)
            before, text = text, os.pread(self._place.fileno(), 65536, 0)
            if text and text == before:  # nothing more has come
                break
        return text.decode(errors="replace").splitlines()

    def end(self) -> None:
        """Kill it and all that it started, and take in what it printed last."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # no group: it has not made it yet, or nobody is left in it
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitpid(self.pid, 0)[1]
        for _ in range(3):  # at most a pipe's worth each, and their ends
            if self._pipes and select.select(list(self._pipes), [], [], 0)[0]:
                self.read(0)
        for fd in list(self._pipes):
            self._close(fd)
        self._place.close()

    def _close(self, fd: int) -> None:
        os.close(fd)
        del self._pipes[fd]
