"""What every program of the fault matrix does alike: hear the runner, keep the pace, write the ledger, tell how it went.

Nothing here does messaging: that is what the programs are compared by.
"""

import contextlib
import json
import logging
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rabbitlab.ledger import Ledger

SIZE = 256  # bytes of a body
BEHIND = 1.0  # seconds that a publisher may be behind its pace and still catch up


class Stage:
    """The runner's side of a program.

    Attributes:
        options: What the runner asks for.
        ledger, notebook: The scene's ledger, shared by all its programs; with and without waiting for the disk.
        ended: Set when the runner wants it to end.
    """

    def __init__(self):
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
        logging.getLogger("rabbitlab").setLevel(logging.INFO)
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self.options: dict = json.loads(sys.argv[1])
        self.ledger = Ledger(self.options["ledger"])  # on the disk: confirms and effects
        self.notebook = Ledger(self.options["ledger"], sync=False)  # in the same file: what is only begun
        self.ended = threading.Event()
        self._going = threading.Event()
        self._going.set()
        threading.Thread(target=self._listen, name="runner", daemon=True).start()

    def tell(self, event: str, **more) -> None:
        """Say something to the runner."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"event": event, **more}), flush=True)

    def orders(self, flush: Callable[[], object]) -> Iterator[tuple[str, bytes]]:
        """Ids and bodies at the pace asked for: so many, and more until the runner wants no more.

        Args:
            flush: Called before a pause that the runner asks for; returns when every message has its outcome.
        """
        first, number, rate = self.options["first"], self.options["number"], self.options["rate"]
        special = self.special()
        due, n = time.monotonic(), 0
        while n < number or not self.ended.is_set():
            if not self._going.is_set():
                flush()
                self.tell("paused", sent=n)
                self._going.wait()
                due = time.monotonic()
            id = str(first + n)
            yield id, body(id, special.get(id, ""))
            n += 1
            due = max(due + 1 / rate, time.monotonic() - BEHIND)
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)

    def work(self, id: str, payload: bytes) -> str:
        """What a handler does: the work, and what the message asks for that goes wrong. Writes ``start`` and ``effect``.

        Returns:
            What else the message asks for, the first time: ``ack``, to be acknowledged twice.
        """
        self.notebook.start(id)
        told = json.loads(payload)
        if told["do"] == "raise":
            raise ValueError(f"order {id} cannot be read")
        if told["do"] == "crash" and self._first_time(id):
            os._exit(9)
        if told["do"] == "sleep" and self._first_time(id):
            time.sleep(self.options["sleep"])
        time.sleep(self.options.get("work", 0.002))
        self.ledger.effect(id if told["id"] == id else f"{told['id']} under the message_id {id}")
        return told["do"] if told["do"] == "ack" and self._first_time(id) else ""

    def report(self, **more) -> None:
        """The last word: how it went, and the most memory it had."""
        self.tell("done", megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **more)

    def special(self) -> dict[str, str]:
        """Which ids ask for something: ``{"17": "raise"}``; not the first ones, by which the runner sees that messages flow."""
        first, number = self.options["first"], self.options["number"]
        chance = random.Random(self.options["seed"])
        wanted = [do for do, times in self.options.get("special", {}).items() for _ in range(times)]
        early, late = self.options.get("special_between", (0.1, 0.8))
        chosen = chance.sample(range(int(number * early), int(number * late)), len(wanted))
        return {str(first + n): do for n, do in zip(sorted(chosen), chance.sample(wanted, len(wanted)), strict=True)}

    def _first_time(self, id: str) -> bool:
        """Whether nobody has come here with this id before; survives the process."""
        try:
            (Path(self.options["folder"]) / f"once-{id}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _listen(self) -> None:
        for line in sys.stdin:
            word = line.strip()
            if word == "pause":
                self._going.clear()
            elif word == "go":
                self._going.set()
        self.ended.set()
        self._going.set()


def body(id: str, do: str) -> bytes:
    """256 bytes that say which order they are."""
    told = json.dumps({"id": id, "do": do, "pad": ""})
    return json.dumps({"id": id, "do": do, "pad": "x" * (SIZE - len(told))}).encode()
