"""Takes orders off their queue and handles each; it stays, whatever happens to its connection.

Run it with ``python production_consumer.py``. Ctrl-C or SIGTERM ends it after the order in hand; the others go back to the queue.
"""

import itertools
import json
import logging
import random
import signal
import threading

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

try:
    from . import topology  # as a part of the package
except ImportError:
    import topology  # as a program

log = logging.getLogger("production_consumer")
LOST = (AMQPError, AMQPConnectorException, OSError)
LOGIN_REFUSED = (ProbableAuthenticationError, ProbableAccessDeniedError)
TRIES = 3
PREFETCH = 20  # what other consumers wait for while this one hangs; little of it, and each order waits for the network


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
    pauses = _pauses()
    while not stopping.is_set():
        try:
            with pika.BlockingConnection(_parameters(urls)) as connection:
                for channel, message in _deliveries(connection, stopping):
                    _work(channel, handle, *message)
                    pauses = _pauses()
            # Here without an exception and without being asked to stop: RabbitMQ has cancelled the consumer. It is a fault like the others.
        except LOST as error:
            if _is_refusal(error):
                raise
            log.info("connection lost: %.100r", error)
        stopping.wait(next(pauses))


def _deliveries(connection, stopping):
    """Messages with their channel, until *stopping* or until RabbitMQ cancels. What was fetched goes back when the channel closes."""
    channel = connection.channel()
    channel.confirm_delivery()  # for what is parked
    channel.basic_qos(prefetch_count=PREFETCH)
    for method, properties, body in channel.consume(queue=topology.QUEUE, inactivity_timeout=0.2):
        if stopping.is_set():
            return
        if method is not None:
            yield channel, (method, properties, body)


def _work(channel, handle, method, properties, body):
    """Handle one message: acknowledge it, put it back, or park it."""
    try:
        handle(json.loads(body))
    except Exception as error:
        # The queue counts what was rejected, and tells whoever gets the message next: after a crash another process knows it, too.
        failed = (properties.headers or {}).get("x-delivery-count", 0) + 1
        if failed < TRIES:
            channel.basic_reject(delivery_tag=method.delivery_tag, requeue=True)
            return
        _park(channel, properties, body, error)
    # The work is done, or the message is safe elsewhere, so it may go.
    channel.basic_ack(delivery_tag=method.delivery_tag)


def _park(channel, properties, body, error):
    """Publish the message to the dead letter queue; returns when RabbitMQ has it there."""
    reason = f"{type(error).__name__}: {error}"
    log.info("%s  parked: %s", properties.message_id, reason)
    channel.basic_publish(
        exchange="",
        routing_key=topology.DEAD,
        body=body,
        properties=pika.BasicProperties(
            message_id=properties.message_id, content_type=properties.content_type, delivery_mode=2, headers={"reason": reason}
        ),
        mandatory=True,
    )


def _is_refusal(error):
    """Whether RabbitMQ said no. pika suspects it of each connection that ends during the login, that to a dying node too."""
    return isinstance(error, LOGIN_REFUSED) and ("(403)" in str(error) or "(530)" in str(error))


def _parameters(urls):
    """How to connect to each node, in any order: not every client should knock at the same one first."""
    found = [pika.URLParameters(url) for url in random.sample(urls, len(urls))]
    for parameters in found:
        parameters.heartbeat = 2  # a silent node is noticed after at most 14 s
        parameters.socket_timeout = 2
        parameters.stack_timeout = 4  # for a node that takes the connection and then says nothing
        parameters.blocked_connection_timeout = 10  # for one that is short of memory or disk, when a message is parked
        parameters.tcp_options = {"TCP_USER_TIMEOUT": 4000}  # milliseconds, for a link that is cut
        parameters.client_properties = {"connection_name": "production_consumer"}
    return found


def _pauses():
    """Seconds between two attempts: from 0.1 to 2, and never quite the same as another client's."""
    return (min(2, 0.1 * 2**n) * random.uniform(0.8, 1.2) for n in itertools.count())


def main():
    """Pack orders until asked to stop."""
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")  # pika logs each attempt to connect
    logging.getLogger("production_consumer").setLevel(logging.INFO)
    stopping = threading.Event()
    for number in (signal.SIGINT,):
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
