"""Takes the orders of the shop to RabbitMQ, and knows of each what became of it.

Run it with ``python production_producer.py``, or with a number for so many orders. Ctrl-C or SIGTERM ends it after the order in hand.
"""

import itertools
import logging
import random
import signal
import sys
import threading
from collections import Counter

try:
    from . import topology  # as a part of the package
except ImportError:
    import topology  # as a program


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
    # TODO: one order on a connection that never breaks; then an answer for each way in which a publish can end; then many addresses.
    raise NotImplementedError


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
