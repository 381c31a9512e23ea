"""Exercise 1.3, solved: look after a connection.

Brief  docs/module_1_foundations/exercises/ex_03_connection_care.md
Proof  solutions/module_1_foundations/ex_03_connection_care.md
"""

import contextlib
import json
import time

import pika
from pika.exceptions import AMQPConnectionError, AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

PAUSE = 0.2  # seconds between two tries


def send_with_care(parameters, orders, tries=5):
    """Put each of *orders* into the queue ``orders``, whatever becomes of the connection meanwhile.

    The queue is there. *orders* is an iterator: it gives one order after the other, the next one at once or in an hour, and none a second
    time. So each order is sent, as JSON, and confirmed by RabbitMQ before the next one is asked for. All of them go over one connection, as
    long as it works.

    When the connection is lost, open a new one and send again the order that was not confirmed, and no other. For one order, try at most
    *tries* times, with at most half a second between two tries; if the last one fails as well, let its exception through. When RabbitMQ
    refuses user and password, let that exception through at once: trying again would not help.

    However this function ends, it leaves no connection open. If *orders* raises, let the exception through.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        orders: An iterator of dicts.
        tries: How often to try for one order, at least once.

    Returns:
        The number of orders that RabbitMQ has confirmed, each counted once.
    """
    line = _Line(parameters)
    sent = 0
    try:
        for order in orders:
            _send(line, order, tries)
            sent += 1
    finally:
        line.close()
    return sent


def _send(line, order, tries):
    """Send one order; it stays in our hands until RabbitMQ has confirmed it."""
    for attempt in range(1, tries + 1):
        try:
            line.publish(order)
            return
        except (ProbableAuthenticationError, ProbableAccessDeniedError):
            raise  # RabbitMQ would say the same again
        except AMQPConnectionError:
            if attempt == tries:
                raise
            time.sleep(PAUSE)  # a node that restarts needs a moment


class _Line:
    """One connection, opened when it is needed, and anew when it was lost."""

    def __init__(self, parameters):
        self._parameters = parameters
        self._connection = None

    def publish(self, order):
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(self._parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        self._channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order).encode())

    def close(self):
        if self._connection is not None and self._connection.is_open:
            # It may be lost without our knowing. All orders are confirmed, or another exception is on its way: this one has nothing to add.
            with contextlib.suppress(AMQPError):
                self._connection.close()
