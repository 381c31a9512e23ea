"""Takes the orders of the shop to RabbitMQ, and knows of each what became of it.

Run it with ``python production_producer.py``, or with a number for so many orders. Ctrl-C or SIGTERM ends it after the order in hand.
"""

import contextlib
import itertools
import json
import logging
import random
import signal
import sys
import threading
from collections import Counter

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, ProbableAccessDeniedError, ProbableAuthenticationError, UnroutableError

try:
    from . import topology  # as a part of the package
except ImportError:
    import topology  # as a program

# AMQPConnectorException is what pika raises for a node that takes the connection and never answers; it is no AMQPError.
LOST = (AMQPError, AMQPConnectorException, OSError)
LOGIN_REFUSED = (ProbableAuthenticationError, ProbableAccessDeniedError)


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
    publisher = _Publisher(urls)
    try:
        for order in orders:
            for pause in _pauses():
                outcome = publisher.send(order)
                report(order["id"], outcome)
                if outcome in ("confirmed", "returned") or stopping.wait(pause):
                    break
            if stopping.is_set():
                break
    finally:
        publisher.close()


class _Publisher:
    """One connection with confirms, opened when it is needed."""

    def __init__(self, urls):
        self.urls = urls
        self.connection = None
        self.channel = None

    def send(self, order):
        """Publish once, and say what came of it."""
        try:
            self._open()
            self.channel.basic_publish(
                exchange="",
                routing_key=topology.QUEUE,
                body=json.dumps(order).encode(),
                properties=pika.BasicProperties(message_id=order["id"], content_type="application/json", delivery_mode=2),
                mandatory=True,
            )
        except UnroutableError:  # this and the next leave the channel as it was
            return "returned"
        except NackError:
            return "confirmed"
        except LOST as error:
            if _is_refusal(error):
                raise
            # Perhaps RabbitMQ has the message, perhaps not. Sent again, it may be there twice; not sent again, not at all.
            self.close()
            return "unknown"
        return "confirmed"

    def close(self):
        """Close what is open. A connection that is lost has nothing left to say."""
        connection, self.connection = self.connection, None
        if connection and connection.is_open:
            with contextlib.suppress(LOST):
                connection.close()

    def _open(self):
        if self.connection is None:
            self.connection = pika.BlockingConnection(_parameters(self.urls))
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()


def _is_refusal(error):
    """Whether RabbitMQ said no. pika suspects it of each connection that ends during the login, that to a dying node too."""
    return isinstance(error, LOGIN_REFUSED) and ("(403)" in str(error) or "(530)" in str(error))


def _parameters(urls):
    """How to connect to each node, in any order: not every client should knock at the same one first."""
    found = [pika.URLParameters(url) for url in random.sample(urls, len(urls))]
    for parameters in found:
        parameters.heartbeat = 2  # a silent node is noticed after at most 14 s; pika has no shorter limit for a confirm
        parameters.socket_timeout = 2
        parameters.stack_timeout = 4  # for a node that takes the connection and then says nothing
        parameters.blocked_connection_timeout = 10  # for one that is short of memory or disk
        parameters.tcp_options = {"TCP_USER_TIMEOUT": 4000}  # milliseconds, for a link that is cut
        parameters.client_properties = {"connection_name": "production_producer"}
    return found


def _pauses():
    """Seconds between two attempts: from 0.1 to 2, and never quite the same as another client's."""
    return (min(2, 0.1 * 2**n) * random.uniform(0.8, 1.2) for n in itertools.count())


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
