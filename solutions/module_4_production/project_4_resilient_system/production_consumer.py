"""Takes orders off their queue and handles each; it stays, whatever happens to its connection.

Run it with ``python production_consumer.py``. Ctrl-C or SIGTERM ends it after the order in hand; the others go back to the queue.
"""

import json
import logging
import signal
import threading

from rabbitlab.patterns.consumer import ResilientConsumer
from rabbitlab.patterns.retries import Retries

try:
    from . import topology  # as a part of the package
except ImportError:
    import topology  # as a program

# No waiting queues: what failed is put back at once, and the queue counts how often. The default exchange leads to the queue DEAD.
RETRIES = Retries(limit=3, base=0, dead_exchange="", dead_routing_key=topology.DEAD)
PREFETCH = 20  # what other consumers wait for while this one hangs; little of it, and each order waits for the network
LOOK = 0.1  # seconds between two looks whether it has ended by itself, as it does when its login is refused
IN_HAND = 1.5  # seconds that the order in hand may take once it is asked to stop


def consume(urls, handle, stopping):
    """Handle the orders in the queue ``topology.QUEUE`` until *stopping* is set.

    A message is acknowledged when ``handle`` has returned, and no sooner. Where ``handle`` raises, or the body is no JSON, the message is
    tried again, three times in all, while others go on. After the third time it is parked: published to the queue ``topology.DEAD``
    with its body and ``message_id`` as they were and the header ``reason``, text that has the class and the message of the exception in it;
    only then may it leave the first queue. Orders may come twice, so ``handle`` may be called twice for one.

    When the connection is lost or silent, or RabbitMQ cancels the consumer (the queue was deleted), come back by yourself, for as long
    as it takes. The queues are there: you have no right to declare anything.

    Args:
        urls: Addresses of the nodes: ``amqp://user:password@host:port/vhost``. Some may be dead, and some silent.
        handle: Call it as ``handle(order)``, with the order as a dict. It takes less than a second.
        stopping: A ``threading.Event``. Once it is set, finish the order in hand, take no other, and return within two seconds where
            RabbitMQ answers. What was not handled is ready in its queue again.

    Raises:
        pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError: the login was refused.
    """
    consumer = ResilientConsumer(
        urls,
        topology.QUEUE,
        lambda message: handle(json.loads(message.body)),
        name="production_consumer",
        prefetch=PREFETCH,
        workers=1,  # one order in hand
        retries=RETRIES,
    )
    with consumer:
        while not stopping.wait(LOOK) and not consumer.join(timeout=0):
            pass
        consumer.stop(timeout=IN_HAND)


def main():
    """Pack orders until asked to stop."""
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")  # pika logs each attempt to connect
    logging.getLogger("production_consumer").setLevel(logging.INFO)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Set by another thread: this one may be inside stopping.wait(), which holds the lock that set() needs.
        signal.signal(number, lambda *_: threading.Thread(target=stopping.set).start())
    packed = set()  # in a shop: a table whose key is the id, so that the next process knows it, too

    def pack(order):
        if order["id"] in packed:
            print(f"{order['id']}  came again, is packed already", flush=True)
            return
        print(f"{order['id']}  packed: {order['pieces']} x {order['item']}", flush=True)
        packed.add(order["id"])

    urls = topology.addresses()
    topology.declare(urls)
    print(f"Waiting for orders in {topology.QUEUE}; Ctrl-C ends this.", flush=True)
    consume(urls, pack, stopping)
    print(f"{len(packed)} orders packed", flush=True)


if __name__ == "__main__":
    main()
