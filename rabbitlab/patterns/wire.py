"""The publisher's own thread: it has the connection, makes it again when it is gone, and moves messages from the window to the wire.

Nothing but this thread touches pika, which is not thread-safe. Between two things that happen it sleeps.
"""

import functools
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import pika
from pika import spec
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.adapters.utils.nbio_interface import AbstractIOReference, AbstractStreamProtocol, AbstractStreamTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter
from pika.channel import Channel
from pika.connection import Connection, Parameters

from .connecting import login_refused
from .frames import CHANNEL, pieces
from .metrics import Metrics
from .receipt import Outcome
from .retry import Backoff
from .window import Window

log = logging.getLogger("rabbitlab.patterns.publisher")
CHUNK = 1 << 16  # bytes written at once
AHEAD = 1 << 18  # bytes that may wait for the socket, beyond what the kernel takes
TICK = 0.1  # seconds between two looks at deadlines
SOON = 0.005  # seconds until a socket that was full is looked at again
GOODBYE = 2.0  # seconds for the node to answer that the connection is closed
LONGER = 8  # times the patience at most, for nodes that never answer
Opened: TypeAlias = tuple[AbstractStreamTransport, AbstractStreamProtocol] | BaseException


class Services(SelectorIOServicesAdapter):
    """pika's I/O services for one connection, which also hand out its transport.

    ``channel.basic_publish`` calls the kernel three times for a message. The transport, to which pika writes heartbeats and the like
    meanwhile, takes any number of whole messages at once. pika does not promise this interface: a test watches over it.
    """

    transport: AbstractStreamTransport | None = None

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[Opened], None],
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> AbstractIOReference:
        """As pika's own."""

        def done(result: Opened) -> None:
            if isinstance(result, tuple):
                self.transport = result[0]
            on_done(result)

        return super().create_streaming_connection(protocol_factory, sock, done, ssl_context, server_hostname)


class Wire:
    """One connection at a time to one of the nodes, with one channel in confirm mode.

    Args:
        nodes: Gives the nodes in the order in which to try them, anew for each round.
        window: Of the messages.
        name: In log lines, and of the thread.
        backoff: Between two rounds in which no node let us in.
        patience: Seconds without an answer for a message that was sent, after which another node is tried.
        metrics: Its ``reconnects`` follows.

    Attributes:
        ready: Whether messages can be sent, if they are not ``blocked``.
        blocked: Whether the node has told us to wait, because one of the cluster is short of memory or disk.
    """

    def __init__(
        self, nodes: Callable[[], list[Parameters]], window: Window, *, name: str, backoff: Backoff, patience: float, metrics: Metrics
    ):
        self.ready = False
        self.blocked = False
        self._nodes, self._window, self._name = nodes, window, name
        self._backoff, self._patience, self._metrics = backoff, patience, metrics
        self._loop = IOLoop()
        self._to_try: list[Parameters] = []
        self._node = ""  # of the connection
        self._services = Services(self._loop)
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._failures = 0  # since a message was confirmed
        self._given_up = 0  # connections in a row that never answered
        self._why = ""  # the connection was given up
        self._was_ready = False  # on any connection
        self._ticking = self._writing = self._ending = False
        self._waiting: object = None  # the timer for the next connection
        self._thread = threading.Thread(target=self._run, name=f"publisher {name}", daemon=True)

    def start(self) -> None:
        """Connect, from now on."""
        self._thread.start()

    def wake(self) -> None:
        """There is a message to send. Any thread may say so."""
        self._loop.add_callback_threadsafe(self._send)

    def stop(self) -> None:
        """Give up what is open, close the connection, and wait for that. Any thread but its own."""
        self._loop.add_callback_threadsafe(self._end)
        self._thread.join()

    def _run(self) -> None:
        self._window.own()
        self._loop.add_callback_threadsafe(self._connect)
        try:
            while not self._ending or self._connection:
                try:
                    self._loop.start()
                    break
                except Exception:  # of pika or of ours: better a new connection than a thread that is gone
                    log.exception("%s: unexpected; connecting again", self._name)
                    self._drop("an unexpected error")
        finally:
            self.ready = False
            self._window.end("the publisher's thread has ended")
            self._loop.close()

    # The connection.

    def _connect(self) -> None:
        self._waiting = None
        before = self._node
        if not self._to_try:
            self._to_try = self._nodes()
            if len(self._to_try) > 1 and _address(self._to_try[0]) == before:  # another node first
                self._to_try.append(self._to_try.pop(0))
        node = self._to_try.pop(0)
        self._node, self._why = _address(node), ""
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
        self._window.heard = time.monotonic()
        self._open_channel()

    def _open_channel(self) -> None:
        if self._connection and self._connection.is_open and not self._ending:
            self._connection.channel(channel_number=CHANNEL, on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(
            ack_nack_callback=functools.partial(self._on_answer, channel), callback=functools.partial(self._on_confirming, channel)
        )

    def _on_confirming(self, channel: Channel, _: object) -> None:
        self._channel, self.ready = channel, True
        self._window.heard = time.monotonic()
        self._window.trouble = ""
        again = sum(receipt.attempts > 0 for receipt in self._window.pending())
        log.info("%s: connected to %s%s", self._name, self._node, f"; {again} messages without an answer are sent again" if again else "")
        if self._was_ready:
            self._metrics.reconnects.inc()
        self._was_ready = True
        self._send()

    def _on_closed(self, connection: Connection, error: BaseException) -> None:
        """It was lost, or could not be made."""
        if connection is not self._connection:
            return
        was_ready, self.ready, self.blocked = self.ready, False, False
        self._connection = self._channel = None
        unanswered = self._window.lost()
        if self._ending:
            self._loop.stop()
            return
        reason = self._why or _told(error)
        self._window.trouble = f"no connection to {self._node}: {reason}"
        if login_refused(error):
            log.error("%s: %s refused the login, so nothing is sent any more: %s", self._name, self._node, reason)
            self._window.end(error, 403 if "(403)" in str(error) else 530)
            self._finish()
            return
        wait = 0.0 if self._to_try and not was_ready else self._backoff.seconds(self._failures)
        self._failures += not self._to_try
        what = f"lost {self._node}, {unanswered} messages without an answer" if was_ready else f"no connection to {self._node}"
        log.warning("%s: %s: %s; next attempt in %.1f s", self._name, what, reason, wait)
        if was_ready:
            self._to_try = []
        self._waiting = self._loop.call_later(wait, self._connect)

    def _on_blocked(self, _: object, frame: object) -> None:
        self.blocked = True
        self._window.trouble = f"{self._node} takes no messages, because a node is short of memory or disk"
        log.warning("%s: %s; %d messages wait", self._name, self._window.trouble, self._window.open)

    def _on_unblocked(self, _: object, frame: object) -> None:
        self.blocked = False
        self._window.trouble = ""
        self._window.heard = time.monotonic()
        log.info("%s: %s takes messages again; %d wait", self._name, self._node, self._window.open)
        self._send()

    def _give_up(self, why: str) -> None:
        """Leave a connection without waiting for the other side, which is silent. It is closed a moment later."""
        self._why = why
        if self._connection and not self._connection.is_closing and not self._connection.is_closed:
            self._connection.close(320, why)
        if self._services.transport:
            self._services.transport.abort()

    def _drop(self, why: str) -> None:
        """After an error that nobody expected: forget the connection, whatever its state."""
        connection, transport = self._connection, self._services.transport
        self._connection = None
        if transport and connection and not connection.is_closed:
            transport.abort()
        self._connection = connection
        if connection:
            self._on_closed(connection, RuntimeError(why))

    # The channel.

    def _on_channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if not isinstance(reason, pika.exceptions.ChannelClosedByBroker) or self._ending:
            return  # with its connection
        self._channel, self.ready = None, False
        guilty = self._window.refused(reason.reply_code, reason.reply_text)
        told = f"it was {guilty.message_id}" if guilty else "sending a few at a time to find which message it was"
        log.warning("%s: the channel was closed: %d %s; %s", self._name, reason.reply_code, reason.reply_text, told)
        self._loop.call_later(0, self._open_channel)  # its number is free a moment later

    def _on_answer(self, channel: Channel, frame: "pika.frame.Method[spec.Basic.Ack] | pika.frame.Method[spec.Basic.Nack]") -> None:
        if channel is not self._channel:
            return
        answer = frame.method
        if isinstance(answer, spec.Basic.Ack):
            self._window.answered(answer.delivery_tag, answer.multiple, Outcome.CONFIRMED)
            self._failures = self._given_up = 0
        else:
            self._window.answered(answer.delivery_tag, answer.multiple, Outcome.NACKED, "the queue did not take it")
        if self._window.queue:
            self._send()

    def _on_return(self, channel: Channel, method: spec.Basic.Return, properties: spec.BasicProperties, body: bytes) -> None:
        if not self._window.returned(properties.message_id, method.exchange, method.routing_key, method.reply_code, method.reply_text):
            log.debug("%s: %s came back after its deadline", self._name, properties.message_id)

    # Messages, and time.

    def _send(self) -> None:
        """Write what may be sent, as long as the socket keeps up."""
        if not self._ticking and self._window.open:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)
        if not self.ready or self.blocked or self._writing:
            return
        transport, connection = self._services.transport, self._connection
        assert transport
        assert connection
        frame_max = connection.params.frame_max or 0
        while transport.get_write_buffer_size() < AHEAD:
            if not (receipts := self._window.take(CHUNK)):
                return
            for data in _chunks([piece for receipt in receipts for piece in pieces(receipt._head, receipt._body, frame_max)]):
                transport.write(data)
        self._writing = True
        self._loop.call_later(SOON, self._go_on)

    def _go_on(self) -> None:
        self._writing = False
        self._send()

    def _tick(self) -> None:
        now = time.monotonic()
        late = self._window.expire(now)
        if late:
            log.warning("%s: %d messages given up: %s", self._name, len(late), late[0].reply_text)
        self._watch(now)
        self._ticking = self._window.open > 0
        if self._ticking:
            self._loop.call_later(TICK, self._tick)

    def _watch(self, now: float) -> None:
        """Give up a node that lets messages wait without any answer: paused, cut off, or in a minority that can store nothing.

        pika notices silence after 2 x (heartbeat + 5) seconds, and a node that cannot store but has a pulse, never.
        """
        connected = self._connection is not None and self._connection.is_open
        expecting = self._window.sent if self.ready else connected
        patience = self._patience * min(2**self._given_up, LONGER)
        if expecting and not self.blocked and not self._why and now - self._window.heard > patience:
            self._given_up += 1
            self._give_up(f"no answer for {patience:.0f} s")

    # The end.

    def _end(self) -> None:
        if self._ending:
            return
        self._window.end("the publisher was closed")
        self._finish()

    def _finish(self) -> None:
        self._ending, self.ready = True, False
        if self._waiting:
            self._loop.remove_timeout(self._waiting)  # type: ignore[arg-type]  # pika's own handle
        if self._connection is None:
            self._loop.stop()
            return
        if not self._connection.is_closing and not self._connection.is_closed:
            self._connection.close()
        self._loop.call_later(GOODBYE, lambda: self._give_up("no goodbye"))
        self._loop.call_later(2 * GOODBYE, self._loop.stop)


def _address(node: Parameters) -> str:
    return f"{node.host}:{node.port}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]


def _chunks(given: list[bytes]) -> list[bytes]:
    """The pieces joined to chunks of about a size that the kernel takes at once; a longer piece stays alone, so that it is not copied."""
    chunks: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for piece in given:
        small.append(piece)
        size += len(piece)
        if size >= CHUNK:
            chunks.append(b"".join(small))
            small, size = [], 0
    if small:
        chunks.append(b"".join(small))
    return chunks
