"""A service that publishes orders through the reliable publisher, and writes down what it is told of each."""

import queue
import signal
import threading
import time

from prometheus_client import CollectorRegistry

from rabbitlab import stalls
from rabbitlab.patterns.metrics import Metrics
from rabbitlab.patterns.publisher import ReliablePublisher
from rabbitlab.patterns.receipt import Outcome, PublisherClosed, Receipt
from tests.fault_matrix.programs.stage import Stage

GRACE = 5.0  # seconds for what is open, after SIGTERM


class Book:
    """Writes each outcome into the ledger, and measures from outside what the publisher promises.

    No thread of this process can keep a deadline while the machine, with three nodes to start, gives the process no processor.
    """

    def __init__(self, stage: Stage):
        self.began = time.monotonic()
        stalls.lost()  # watched from now on
        self._stage = stage
        self._open: dict[str, tuple[float, Receipt]] = {}
        self._lock = threading.Lock()
        self.longest_call = self.longest_outcome = 0.0
        self.most_in_flight = 0
        self.reasons: dict[str, int] = {}
        self._settled: queue.SimpleQueue[Receipt | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="ledger")
        self._writer.start()

    def publish(self, publisher: ReliablePublisher, id: str, body: bytes) -> None:
        """One message."""
        self._stage.notebook.invoke(id)
        began = time.monotonic()
        try:
            receipt = publisher.publish(body, routing_key=self._stage.options["queue"], message_id=id)
        except PublisherClosed:
            self._stage.ledger.fail(id)
            raise
        self.longest_call = max(self.longest_call, stalls.spent(began))
        with self._lock:
            self._open[id] = (began, receipt)
        receipt.add_done_callback(self._on_done)
        with self._lock:
            if len(self._open) > self.most_in_flight:  # some of these may be settled, and their callback on its way
                in_flight = sum(not receipt.done() for _, receipt in self._open.values())
                self.most_in_flight = max(self.most_in_flight, in_flight)

    def close(self) -> None:
        """Return when everything that was settled is written down."""
        self._settled.put(None)
        self._writer.join()

    def _on_done(self, receipt: Receipt) -> None:
        """On the publisher's own thread, which must not wait for a disk."""
        with self._lock:
            began, _ = self._open.pop(receipt.message_id)
            self.longest_outcome = max(self.longest_outcome, stalls.spent(began))
        self._settled.put(receipt)

    def _write(self) -> None:
        ledger = self._stage.ledger
        while receipt := self._settled.get():
            match receipt.outcome:
                case Outcome.CONFIRMED:
                    ledger.ok(receipt.message_id)
                    continue
                case Outcome.UNKNOWN:
                    ledger.unknown(receipt.message_id)
                case _:
                    ledger.fail(receipt.message_id)
            why = f"{receipt.outcome.value}: {receipt.reply_code} {receipt.reply_text}"
            self.reasons[why] = self.reasons.get(why, 0) + 1


def main() -> None:
    """Publish what the stage orders."""
    stage = Stage()
    options = stage.options
    given = {name: options[name] for name in ("window", "deadline", "heartbeat") if name in options}
    registry = CollectorRegistry()
    publisher = ReliablePublisher(options["urls"], name="publisher", metrics=Metrics("publisher", registry), **given)
    closing = threading.Thread(target=publisher.close, args=[GRACE], daemon=True)
    signal.signal(signal.SIGTERM, lambda *_: closing.start())
    book = Book(stage)
    stage.tell("ready", special=stage.special())
    try:
        for id, body in stage.orders(flush=publisher.flush):
            book.publish(publisher, id, body)
    except PublisherClosed:
        closing.join()
    publisher.close(timeout=None)
    book.close()
    reconnects = registry.get_sample_value("rabbitmq_client_reconnects_total", {"name": "publisher"})
    stage.report(
        longest_call=book.longest_call,
        longest_outcome=book.longest_outcome,
        stood_still=stalls.longest(book.began),
        most_in_flight=book.most_in_flight,
        deadline=options.get("deadline", 30.0),
        window=options.get("window", 1000),
        reconnects=reconnects,
        reasons=book.reasons,
    )


if __name__ == "__main__":
    main()
