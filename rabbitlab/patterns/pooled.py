"""One connection of a pool: whether it is alive, whether its borrower has left it tidy, and how it ends.

Nothing here waits for a silent node longer than it says, and nothing but :meth:`Pooled.answer` raises for one that is gone.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosed

from .connecting import limited

log = logging.getLogger(__name__)
T = TypeVar("T")
MOMENT = 0.5  # seconds that a node has to answer a borrower, even where there is less time
GOODBYE = 2.0  # seconds that it has to answer while a channel or a connection is closed
FRESH = 1.0  # seconds after its last use in which a connection passes for one that answers


@dataclass(eq=False)
class Pooled:
    """A connection in the hands of one thread, or idle.

    Attributes:
        connection: pika's.
        expires: When it is too old, in seconds of ``time.monotonic()``, as the others.
        used: When its last borrower gave it back.
        seen: When its heartbeats were last attended to.
    """

    connection: pika.BlockingConnection
    expires: float
    used: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)

    def is_alive(self) -> bool:
        """Send the heartbeat that is due, and read what the node has said: a goodbye, perhaps. A silent one passes for alive."""
        self.seen = time.monotonic()
        try:
            with limited(self.connection, GOODBYE):
                self.connection.process_data_events(0)
        except Exception as error:  # whatever it is, nobody is to have this connection
            log.info("idle connection ended: %.100r", error)
            return False
        return self.connection.is_open

    def answer(self, ask: Callable[["Pooled"], T], within: float) -> T:
        """What ``ask(self)`` returns. A node that does not answer in so many seconds loses the connection.

        Raises:
            One of connecting.LOST.
        """
        with limited(self.connection, max(within, MOMENT)):
            return ask(self)

    def hello(self) -> None:
        """Ask the node for an answer, unless it gave one just now."""
        if time.monotonic() - self.used > FRESH:
            self.connection.channel().close()

    def plain(self) -> BlockingChannel:
        """A new channel."""
        return self.connection.channel()

    def with_confirms(self) -> BlockingChannel:
        """A new channel with publisher confirms."""
        channel = self.connection.channel()
        channel.confirm_delivery()
        return channel

    def is_tidy(self) -> bool:
        """Close the channels that the borrower has left open, and say whether another one may have the connection."""
        try:
            with limited(self.connection, GOODBYE):
                for inner in list(self.connection._impl._channels.values()):  # pika tells in no other way
                    channel = inner._get_cookie()
                    with suppress(ChannelClosed):  # by RabbitMQ, for something that its user has left behind, too
                        if channel.is_open:
                            channel.close()
        except Exception as error:
            log.info("connection given back broken: %.100r", error)
            return False
        self.used = time.monotonic()
        return self.is_alive()

    def end(self, within: float = GOODBYE) -> None:
        """Say goodbye, and close the socket whatever the answer is."""
        with suppress(Exception), limited(self.connection, min(within, GOODBYE)):
            if self.connection.is_open:
                self.connection.close()
