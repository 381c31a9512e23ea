"""The publisher's own thread: it has the connection, makes it again when it is gone, and moves messages from the window to the wire.

Nothing but this thread touches pika, which is not thread-safe. Between two things that happen it sleeps.
"""

import functools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from pika import frame, spec
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.connection import Connection, Parameters
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from .connecting import login_refused
from .frames import CHANNEL
from .metrics import Metrics
from .receipt import Outcome, Receipt
from .retry import Backoff
from .rounds import Rounds, address
from .window import Window
from .wire import Services, write

log = logging.getLogger("rabbitlab.patterns.publisher")
CHUNK = 1 << 16  # bytes written at once
AHEAD = 1 << 18  # bytes that may wait for the socket, beyond what the kernel has taken
TICK = 0.1  # seconds between two looks at deadlines
SOON = 0.005  # seconds until a socket that was full is looked at again
SAYS = 1.0  # seconds between two log lines about messages that were given up
GOODBYE = 2.0  # seconds for the node to answer that the connection is closed
LONGEST = 8  # times the patience, while no node answers
INTERNAL_ERROR = 541  # over a message that it cannot bear; or for a reason of its own, which passes
PROOFS = 3  # connections that end so in a row, with one and the same message alone on its way


class Sender:
    """A thread with one connection at a time, to one of the nodes, and on it one channel in confirm mode.

    Args:
        nodes: Gives the nodes in the order in which to try them, anew for each round.
        window: Of the messages.
        name: In log lines, and of the thread.
        backoff: Between two rounds in which no node let us in.
        patience: Seconds without an answer for a message that was sent, after which another node is tried.
        metrics: Its ``reconnects`` follows.

    Attributes:
        ready: Whether messages can be sent, if it is not ``blocked``.
        node: That of the connection, or the next one, as ``host:port``.
        blocked: Whether the node has asked us to wait, because one of the cluster is short of memory or disk.
    """

    def __init__(
        self, nodes: Callable[[], list[Parameters]], window: Window, *, name: str, backoff: Backoff, patience: float, metrics: Metrics
    ):
        self.ready = self.blocked = False
        self.node = ""
        self._window, self._name, self._patience, self._metrics = window, name, patience, metrics
        self._rounds = Rounds(nodes, backoff)
        self._loop = IOLoop()
        self._services = Services(self._loop)
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._since: float | None = None  # it has been ready
        self._why = ""  # it was given up
        self._given_up = 0  # connections in a row that never answered
        self._connected_before = self._ticking = self._resting = self._ending = False
        self._late: list[Receipt] = []  # given up, and not said yet
        self._said = 0.0
        self._next: object = None  # the timer for the next connection
        self._here = True  # in the process that made it
        self._thread = threading.Thread(target=self._run, name=f"publisher {name}", daemon=True)

    def start(self) -> None:
        """Connect, from now on."""
        self._thread.start()

    def wake(self) -> None:
        """There is a message to send. Any thread may say so."""
        if self._here:
            self._loop.add_callback_threadsafe(self._send)

    def stop(self) -> None:
        """Give up what is open, close the connection, and wait for that. Any thread but its own."""
        if self._here:
            self._loop.add_callback_threadsafe(self._end)
            self._thread.join()

    def forget(self) -> None:
        """In a forked child, where its thread is not: a lock of the loop may be held for ever, and its sockets are the parent's."""
        self._here = False

    def _run(self) -> None:
        self._window.own()
        self._loop.add_callback_threadsafe(self._connect)
        try:
            while True:
                try:
                    self._loop.start()
                    break
                except Exception:  # of pika's or ours: better a new connection than a thread that is gone
                    log.exception("%s: unexpected; connecting again", self._name)
                    self._ticking = self._resting = False  # it may have been one of these
                    self._loop.add_callback_threadsafe(self._recover)
        finally:
            self.ready = False
            self._window.end("the publisher's thread has ended")
            self._loop.close()

    # The connection.

    def _connect(self) -> None:
        self._next = None
        node = self._rounds.next()
        self.node, self._why, self._since = address(node), "", None
        self._services = Services(self._loop)
        self._connection = SelectConnection(
            node,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
            custom_ioloop=self._services,
        )

    def _on_open(self, connection: Connection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel(connection)

    def _on_closed(self, connection: Connection, error: BaseException) -> None:
        """It was lost, or could not be made."""
        if connection is not self._connection:
            return
        self._connection = self._channel = None
        self.ready = self.blocked = False
        unanswered = sum(receipt.outcome is None for receipt in self._window.sent.values())
        guilty = None
        if isinstance(error, ConnectionClosedByBroker) and error.reply_code == INTERNAL_ERROR:
            guilty = self._window.refused(INTERNAL_ERROR, error.reply_text, PROOFS)
        if guilty:
            log.error("%s: %d connections in a row have ended over %s: refused", self._name, PROOFS, guilty.message_id)
        self._window.lost()
        if self._ending:
            self._loop.stop()
            return
        reason = self._why or f"{type(error).__name__} {error}".strip()
        self._window.trouble = f"no connection to {self.node}: {reason}"
        if login_refused(error):
            log.error("%s: %s refused the login, so nothing is sent any more: %s", self._name, self.node, reason)
            self._give_everything_up(error)
            return
        wait = self._rounds.failed(self._window.clock() - self._since if self._since else None)
        if wait is None:
            log.error("%s: no connection to any node, and no attempt left: %s", self._name, reason)
            self._give_everything_up(error)
            return
        what = f"lost {self.node}, {unanswered} messages without an answer" if self._since else f"no connection to {self.node}"
        log.warning("%s: %s: %s; next attempt in %.1f s", self._name, what, reason, wait)
        self._next = self._loop.call_later(wait, self._connect)

    def _on_blocked(self, _: object, __: object) -> None:
        self.blocked = True
        self._window.trouble = f"{self.node} takes no messages: a node is short of memory or disk"
        log.warning("%s: %s; %d messages wait", self._name, self._window.trouble, self._window.open)

    def _on_unblocked(self, _: object, __: object) -> None:
        self.blocked = False
        self._window.trouble = ""
        self._window.heard = self._window.clock()
        log.info("%s: %s takes messages again; %d wait", self._name, self.node, self._window.open)
        self._send()

    def _leave(self, why: str) -> None:
        """End the connection without waiting for the other side, which is silent. A moment later it is closed."""
        self._why = why
        if self._connection and not self._connection.is_closing and not self._connection.is_closed:
            self._connection.close(320, why)
        if self._services.transport:
            self._services.transport.abort()

    def _recover(self) -> None:
        """After an error that nobody expected: no connection, or one that cannot be trusted."""
        if connection := self._connection:
            with suppress(Exception):
                self._leave("an unexpected error")
            self._loop.call_later(GOODBYE, lambda: self._on_closed(connection, RuntimeError("an unexpected error")))
        elif not self._next and not self._ending:
            self._next = self._loop.call_later(self._rounds.failed(None) or 0.0, self._connect)
        self._send()

    # Its channel.

    def _open_channel(self, connection: Connection) -> None:
        self._window.heard = self._window.clock()
        if connection is self._connection and connection.is_open:
            connection.channel(channel_number=CHANNEL, on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(
            ack_nack_callback=functools.partial(self._on_answer, channel), callback=functools.partial(self._on_confirming, channel)
        )

    def _on_confirming(self, channel: Channel, _: object) -> None:
        self._channel, self.ready = channel, True
        self._window.heard = self._window.clock()
        self._window.trouble = ""
        if self._since is None:  # not just another channel
            again = sum(receipt.attempts > 0 for receipt in self._window.pending())
            log.info("%s: connected to %s%s", self._name, self.node, f"; {again} messages are sent again" if again else "")
            self._metrics.reconnects.inc(int(self._connected_before))
            self._since, self._connected_before = self._window.clock(), True
        self._send()

    def _on_channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if not isinstance(reason, ChannelClosedByBroker) or self._ending:
            return  # together with its connection
        self._channel, self.ready = None, False
        wait = 0.0 if self._window.sent else 1.0  # whatever it was about, not a message
        guilty = self._window.refused(reason.reply_code, reason.reply_text)
        told = f"that was {guilty.message_id}" if guilty else "which message it was, is found by sending few at a time"
        log.warning("%s: the channel was closed: %d %s; %s", self._name, reason.reply_code, reason.reply_text, told)
        self._loop.call_later(wait, functools.partial(self._open_channel, channel.connection))  # never at once: pika still has its number

    def _on_answer(self, channel: Channel, answer: "frame.Method[spec.Basic.Ack] | frame.Method[spec.Basic.Nack]") -> None:
        if channel is not self._channel:
            return
        method = answer.method
        if isinstance(method, spec.Basic.Ack):
            self._window.answered(method.delivery_tag, method.multiple, Outcome.CONFIRMED)
            self._rounds.worked()
            self._given_up = 0
        else:
            self._window.answered(method.delivery_tag, method.multiple, Outcome.NACKED, "the queue did not take it")
        if self._window.queue:
            self._send()

    def _on_return(self, channel: Channel, method: spec.Basic.Return, properties: spec.BasicProperties, body: bytes) -> None:
        said = (method.exchange, method.routing_key, method.reply_code, method.reply_text)
        if not self._window.returned(properties.message_id, *said) and not self._ending:
            log.error("%s: a message came back that was not sent: %r %r", self._name, properties.message_id, said)

    # Messages, and time.

    def _send(self) -> None:
        """Write what may be sent, as long as the socket keeps up."""
        if not self._ticking and self._window.open:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)
        if not self.ready or self.blocked or self._resting:
            return
        transport, connection = self._services.transport, self._connection
        assert transport
        assert connection
        while transport.get_write_buffer_size() < AHEAD:
            if not (receipts := self._window.take(CHUNK)):
                return
            write(transport, receipts, connection.params.frame_max or 0)
        self._resting = True
        self._loop.call_later(SOON, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        self._send()

    def _tick(self) -> None:
        now = self._window.clock()
        self._late += self._window.expire(now)
        self._ticking = self._window.open > 0
        if self._ticking:
            self._loop.call_later(TICK, self._tick)
        if self._late and (now - self._said > SAYS or not self._ticking):
            log.warning("%s: gave up %d messages: %s", self._name, len(self._late), self._late[-1].reply_text)
            self._late, self._said = [], now
        self._watch(now)
        if self._window.queue:
            self._send()

    def _watch(self, now: float) -> None:
        """Leave a node that lets messages wait without any answer: paused, cut off, or in a minority that can store nothing.

        pika notices silence after up to 2 x (heartbeat + 5) seconds, and a node that has a pulse and stores nothing, never.
        """
        connected = self._connection is not None and self._connection.is_open
        expecting = self._window.sent if self.ready else connected
        patience = self._patience * min(2 ** max(0, self._given_up - 1), LONGEST)  # the second may be left as soon as the first
        if expecting and not self.blocked and not self._why and now - self._window.heard > patience:
            self._given_up += 1
            self._leave(f"no answer for {patience:.0f} s")

    # The end.

    def _end(self) -> None:
        if not self._ending:
            self._window.end("the publisher was closed")
            self._finish()

    def _give_everything_up(self, error: BaseException) -> None:
        code = next((known for known in (403, 530) if f"({known})" in str(error)), 0)
        self._window.end(error, code)
        self._finish()

    def _finish(self) -> None:
        self._ending, self.ready = True, False
        if self._connection is None:
            self._loop.stop()
            return
        if not self._connection.is_closing and not self._connection.is_closed:
            self._connection.close()
        self._loop.call_later(GOODBYE, lambda: self._leave("no goodbye"))
        self._loop.call_later(2 * GOODBYE, self._loop.stop)
