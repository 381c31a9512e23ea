"""A program of a scene: a publisher or a consumer in a process of its own, which tells what it does in lines of JSON.

It is given its options as one JSON argument, words on its standard input (``pause``, ``go``; the end of the input asks it to end), and
answers on its standard output: ``{"event": "ready"}``. What it writes to its standard error is kept in a file.
"""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from rabbitlab.units import ROOT

LINES = 3  # of its log, in a sentence about a program that has failed


class Program:
    """A program that runs.

    Args:
        name: ``publisher``; names its log, too.
        module: The program, by the name under which Python finds it from the root of the course.
        options: What it is given.
        folder: Where its log is written.

    Attributes:
        name: The same.
        log: What it has written to its standard error; of several programs of one name, all of it.
    """

    def __init__(self, name: str, module: str, options: dict, folder: Path):
        self.name = name
        self.log = folder / f"{name}.log"
        self._events: list[dict] = []
        self._heard = threading.Condition()
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, json.dumps(options)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the runner, which ends it
            )
        self._reader = threading.Thread(target=self._listen, name=name, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def event(self, name: str) -> dict | None:
        """The last event of this name, or None."""
        with self._heard:
            return next((event for event in reversed(self._events) if event["event"] == name), None)

    def events(self, name: str) -> list[dict]:
        """Every event of this name."""
        with self._heard:
            return [event for event in self._events if event["event"] == name]

    def wait_for(self, name: str, within: float) -> dict | None:
        """The event of this name once it has come; None when it has not come within so many seconds, or the program has ended first."""
        with self._heard:
            self._heard.wait_for(lambda: any(event["event"] in (name, "ended") for event in self._events), within)
            return next((event for event in reversed(self._events) if event["event"] == name), None)

    def tell(self, word: str) -> None:
        """Give it a word; one that has ended does not hear it."""
        if word == "pause":
            self._forget("paused")
        try:
            print(word, file=self._process.stdin, flush=True)
        except (OSError, ValueError):
            return

    def ask_to_end(self) -> None:
        """Close its input."""
        try:
            self._process.stdin.close()
        except OSError:
            return

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self, within: float) -> bool:
        """Whether it has ended, after at most so many seconds."""
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(within)
        return True

    def end(self) -> None:
        """Kill it if it still runs, and let go of it."""
        if self.status is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        self.ask_to_end()
        self._process.stdout.close()

    def last_words(self) -> str:
        """The end of its log, in one line."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-LINES:]) or "it has logged nothing"

    def _listen(self) -> None:
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            self._hear(event)
        self._hear({"event": "ended"})

    def _hear(self, event: dict) -> None:
        with self._heard:
            self._events.append(event)
            self._heard.notify_all()

    def _forget(self, name: str) -> None:
        with self._heard:
            self._events = [event for event in self._events if event["event"] != name]
