"""A broker that is a model, for the reliable publisher: a fake loop holds its timers, a fake transport decodes its frames with pika, and a
fake clock stands still until it is told to go on. The publisher's own thread does not run.
"""

from dataclasses import dataclass, field

import pika
from pika import frame, spec
from pika.exceptions import ChannelClosedByBroker

from rabbitlab.patterns import Backoff, Metrics, Receipt, ReliablePublisher, sender
from rabbitlab.patterns.window import Window

WINDOW = 6
DEADLINE = 30.0
PATIENCE = 10.0
GOOD, NO_ROUTE, NO_EXCHANGE = "orders", "nowhere", "missing"


class Loop:
    """Timers and callbacks, run when :meth:`advance` says so."""

    READ, WRITE, ERROR = 1, 2, 4

    def __init__(self):
        self.broker = Broker(self)
        self.stopped = False
        self.now = 1000.0
        self._count = 0
        self._timers: list = []

    def call_later(self, delay, callback):
        self._count += 1
        timer = [self.now + delay, self._count, callback]
        self._timers.append(timer)
        return timer

    def remove_timeout(self, timer):
        timer[2] = lambda: None

    def add_callback_threadsafe(self, callback):
        self.call_later(0, callback)

    def stop(self):
        self.stopped = True
        self._timers.clear()

    def advance(self, seconds=0.0):
        """Let time pass, and do what is due, each at its time."""
        until = self.now + seconds
        while due := [timer for timer in self._timers if timer[0] <= until]:
            first = min(due, key=lambda timer: timer[:2])
            self._timers.remove(first)
            self.now = max(self.now, first[0])
            first[2]()
        self.now = until


class Channel:
    def __init__(self, connection):
        self.connection = connection
        self.closed = self.returned = self.answer = None

    def add_on_close_callback(self, callback):
        self.closed = callback

    def add_on_return_callback(self, callback):
        self.returned = callback

    def confirm_delivery(self, ack_nack_callback, callback):
        self.answer = ack_nack_callback
        self.connection.broker.loop.call_later(0, lambda: self.connection.is_open and callback(None))


class Connection:
    """Stands in for pika.SelectConnection, its transport and its parameters."""

    frame_max = 4096

    def __init__(self, node, on_open_callback, on_open_error_callback, on_close_callback, custom_ioloop):
        self.is_open = self.is_closing = self.is_closed = False
        self.on_open, self.on_error, self.on_close = on_open_callback, on_open_error_callback, on_close_callback
        self.channel_now = None
        self.params = custom_ioloop.transport = self
        self.blocked = self.unblocked = None
        self.node = f"{node.host}:{node.port}"
        self.broker = custom_ioloop.get_native_ioloop().broker
        self.broker.connections.append(self)

    def opened(self):
        self.is_open = True
        self.on_open(self)

    def channel(self, channel_number, on_open_callback):
        self.channel_now = Channel(self)
        self.broker.written = []
        self.broker.processed = 0
        channel = self.channel_now
        self.broker.loop.call_later(0, lambda: self.is_open and on_open_callback(channel))

    def add_on_connection_blocked_callback(self, callback):
        self.blocked = callback

    def add_on_connection_unblocked_callback(self, callback):
        self.unblocked = callback

    def close(self, code=200, text=""):
        self.is_closing = True

    def abort(self):
        if not self.is_closed:
            self.lost(ConnectionError("aborted"))

    def lost(self, error):
        was_open, self.is_open, self.is_closed = self.is_open, False, True
        self.broker.written = []
        (self.on_close if was_open else self.on_error)(self, error)

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        self.broker.take(data)


@dataclass
class Written:
    """A message as it came in on a channel."""

    message_id: str
    exchange: str
    routing_key: str
    body: bytes
    answered: bool = False
    stored: bool = False


@dataclass
class Broker:
    """What RabbitMQ would do: handle messages in order, answer when it likes, and close the channel over an exchange that is not there."""

    loop: Loop
    connections: list = field(default_factory=list)
    frames: list = field(default_factory=list)  # of a message that is not whole yet
    written: list = field(default_factory=list)  # on this channel, in the order of their delivery tags
    processed: int = 0  # of those
    stored: set = field(default_factory=set)
    acked: set = field(default_factory=set)
    nacked: set = field(default_factory=set)
    returned: set = field(default_factory=set)
    most: int = 0  # messages without an answer at once

    @property
    def connection(self):
        return self.connections[-1] if self.connections and not self.connections[-1].is_closed else None

    @property
    def confirming(self):
        connection = self.connection
        return bool(connection and connection.is_open and connection.channel_now and connection.channel_now.answer)

    def take(self, data):
        """Decode frames, as pika does, and put messages together."""
        while data:
            size, value = frame.decode_frame(data)
            assert size <= Connection.frame_max
            data = data[size:]
            self.frames.append(value)
            publish, *content = self.frames
            body = b"".join(part.fragment for part in content[1:])
            if content and len(body) == content[0].body_size:
                self.frames = []
                method = publish.method
                self.written.append(Written(content[0].properties.message_id, method.exchange, method.routing_key, body))
        self.most = max(self.most, len(self.unanswered()))

    def unanswered(self):
        return [tag for tag, message in enumerate(self.written, 1) if not message.answered]

    def process(self, number=None):
        """Handle the next messages: store them, send them back, or close the channel."""
        for message in self.written[self.processed :][:number]:
            self.processed += 1
            channel = self.connection.channel_now
            if message.exchange == NO_EXCHANGE:
                self.written = []
                channel.answer = None
                channel.closed(channel, ChannelClosedByBroker(404, "NOT_FOUND - no exchange 'missing'"))
                return
            if message.routing_key == NO_ROUTE:
                self.returned.add(message.message_id)
                method = spec.Basic.Return(312, "NO_ROUTE", message.exchange, message.routing_key)
                channel.returned(channel, method, pika.BasicProperties(message_id=message.message_id), message.body)
            else:
                message.stored = True

    def answer(self, tag, multiple, ack):
        """Of messages that it has handled."""
        tags = [one for one in self.unanswered() if one <= self.processed and (one <= tag if multiple else one == tag)]
        for one in tags:
            message = self.written[one - 1]
            message.answered = True
            if ack:
                self.acked.add(message.message_id)
                self.stored |= {message.message_id} if message.stored else set()
            else:
                self.nacked.add(message.message_id)
        method = spec.Basic.Ack(tag, multiple) if ack else spec.Basic.Nack(tag, multiple)
        self.connection.channel_now.answer(frame.Method(1, method))


class Model:
    """A publisher without its thread, and what it is connected to."""

    def __init__(self, window=WINDOW, backoff=Backoff(jitter=0)):  # noqa: B008
        self.loop = Loop()
        self.broker = self.loop.broker
        nodes = [pika.ConnectionParameters(port=port) for port in (5672, 5673, 5674)]
        self.window = Window(window, Metrics.off(), clock=lambda: self.loop.now)
        self.window.own()
        self.sender = sender.Sender(
            lambda: list(nodes), self.window, name="model", backoff=backoff, patience=PATIENCE, metrics=Metrics.off()
        )
        self.sender._loop.close()
        self.sender._loop = self.loop
        self.publisher = object.__new__(ReliablePublisher)
        self.publisher._name, self.publisher._deadline = "model", DEADLINE
        self.publisher._window, self.publisher._sender = self.window, self.sender
        self.real, sender.SelectConnection = sender.SelectConnection, Connection
        self.sender._connect()

    def end(self):
        sender.SelectConnection = self.real

    def connect(self):
        """Let the connection that is being made succeed."""
        if (connection := self.broker.connection) and not connection.is_open:
            connection.opened()
        self.loop.advance()

    def publish(self, kind=GOOD, **more) -> Receipt:
        exchange, routing_key = (NO_EXCHANGE, "x") if kind == NO_EXCHANGE else ("", kind)
        receipt = self.publisher.publish(b"body", exchange=exchange, routing_key=routing_key, **more)
        self.loop.advance()
        return receipt
