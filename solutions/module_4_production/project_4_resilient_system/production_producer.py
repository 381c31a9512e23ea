"""Takes the orders of the shop to RabbitMQ, and knows of each what became of it.

Run it with ``python production_producer.py``, or with a number for so many orders. Ctrl-C or SIGTERM ends it after the order in hand.
"""

import itertools
import json
import logging
import random
import signal
import sys
import threading
from collections import Counter

import pika

from rabbitlab.patterns.publisher import ReliablePublisher
from rabbitlab.patterns.receipt import Outcome, PublisherClosed
from rabbitlab.patterns.retry import Backoff

try:
    from . import topology  # as a part of the package
except ImportError:
    import topology  # as a program

OUTCOMES = {
    Outcome.CONFIRMED: "confirmed",
    Outcome.RETURNED: "returned",
    Outcome.NACKED: "refused",
    Outcome.REFUSED: "refused",
    Outcome.UNKNOWN: "unknown",
}
PAUSES = Backoff(base=0.1, cap=2.0)
LOOK = 0.1  # seconds between two looks at an order that has no answer yet
AT_THE_END = 1.0  # seconds that the order in hand has for its answer


def produce(urls, orders, report, stopping):
    """Publish each order to the queue ``topology.QUEUE`` until RabbitMQ has answered for it, one after the other.

    An order is a dict with an ``id``, a string. Its message has the order as JSON for its body and the id as its ``message_id``, each time
    it is sent. Connect to any node that answers; when the connection is lost or silent, connect again, to another where need be. The
    queues are there: you have no right to declare anything.

    Args:
        urls: Addresses of the nodes: ``amqp://user:password@host:port/vhost``. Some may be dead, and some silent.
        orders: Iterable of orders, perhaps without end. Take the next one when the one before is settled.
        report: Call it as ``report(id, outcome)`` at each outcome. Final ones are ``"confirmed"``, when RabbitMQ has confirmed the message,
            and ``"returned"``, when no queue took it. After ``"refused"`` (a full queue) and ``"unknown"`` (no connection, or lost
            before the answer) the order is sent again, a little later, until its outcome is a final one.
        stopping: A ``threading.Event``. Once it is set, return within two seconds where RabbitMQ answers; the outcome that was reported
            last for an order then stands.

    Raises:
        pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError: the login was refused.
    """
    publisher = ReliablePublisher(urls, name="production_producer")
    try:
        for order in orders:
            for pause in PAUSES:
                outcome = _send(publisher, order, report, stopping)
                report(order["id"], outcome)
                if outcome in ("confirmed", "returned") or stopping.wait(pause):
                    break
            if stopping.is_set():
                break
    except PublisherClosed as closed:  # it takes nothing more; the cause is what RabbitMQ said to the login
        raise closed.__cause__ or closed from None
    finally:
        publisher.close(timeout=0)  # what is open has been told as unknown


def _send(publisher, order, report, stopping):
    """Publish once, and say what came of it."""
    receipt = publisher.publish(
        json.dumps(order).encode(),
        routing_key=topology.QUEUE,
        message_id=order["id"],
        properties=pika.BasicProperties(content_type="application/json"),
    )
    attempts, left = 1, AT_THE_END
    while True:
        outcome = _outcome(receipt)
        # The publisher sends what it has no answer for again by itself, on another connection. In between, nobody knew where the order was.
        for _ in range(attempts, receipt.attempts):
            report(order["id"], "unknown")
        attempts = max(attempts, receipt.attempts)
        if outcome is not None:
            return OUTCOMES[outcome]
        if stopping.is_set():
            left -= LOOK
            if left < 0:
                return "unknown"


def _outcome(receipt):
    """What came of it; None while there is no answer."""
    try:
        return receipt.result(timeout=LOOK)
    except TimeoutError:
        return None


def main():
    """Send made-up orders, five a second, and say what becomes of them."""
    logging.basicConfig(level=logging.CRITICAL)  # pika logs each attempt to connect
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Set by another thread: this one may be inside stopping.wait(), which holds the lock that set() needs.
        signal.signal(number, lambda *_: threading.Thread(target=stopping.set).start())
    outcomes = Counter()

    def report(order_id, outcome):
        outcomes[outcome] += 1
        print(f"{order_id}  {outcome}", flush=True)

    urls = topology.addresses()
    topology.declare(urls)
    print(f"Orders go to {topology.QUEUE}; Ctrl-C ends this.", flush=True)
    produce(urls, _shop(stopping, int(sys.argv[1]) if len(sys.argv) > 1 else None), report, stopping)
    print(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) or "no order", flush=True)


def _shop(stopping, number):
    """Orders as they come in: *number* of them, or until *stopping*."""
    opened = random.randrange(16**4)  # the ids of another day are others
    for n in itertools.count(1) if number is None else range(1, number + 1):
        yield {"id": f"order-{opened:04x}-{n:05}", "item": random.choice(("mug", "lamp", "rug")), "pieces": random.randint(1, 5)}
        if stopping.wait(0.2):
            return


if __name__ == "__main__":
    main()
