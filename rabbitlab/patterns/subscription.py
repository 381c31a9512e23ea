"""One consumer on one channel, from ``basic_consume`` to its end: who has which message in hand, and what RabbitMQ is told of it."""

import enum
import time
from collections import deque
from collections.abc import Callable

from pika.channel import Channel
from pika.exceptions import AMQPChannelError
from pika.spec import Basic, BasicProperties

from .acks import AckJoiner
from .link import ANSWER, Link, Silent
from .message import Message

CALM = 0.1  # seconds between two looks whether anything has been delivered
LOOKS = 2  # in a row without a delivery: none is on its way
IDLE = 6.0  # seconds without a message and with none in hand, after which the queue is asked for one
# Once 32 settlements are under way to a quorum queue, RabbitMQ keeps further ones back in the channel, and loses them when that is closed.
BURST = 24  # frames, and then a rest, before the end


class Cancelled(AMQPChannelError):
    """RabbitMQ has ended the consumer: its queue was deleted, or a handler exceeded the consumer timeout."""


class Abandoned(AMQPChannelError):
    """Some handler did not finish in time, while the consumer was stopping."""


class Settle(enum.Enum):
    """What is to become of a message in its queue."""

    ACK = "it is done, or safe elsewhere"
    REJECT = "it comes again, and that counts as a failure"


class Subscription:
    """Receives messages until it is drained or lost. It belongs to the thread of its link, except for :meth:`claim` and :meth:`settle`.

    Delivery tags mean something on their own channel only. So each message knows its subscription, and what is said of it once that is
    over is dropped: the message is ready again, and another consumer gets it.

    Args:
        link: An open connection.
        queue: Must exist.
        prefetch: How many messages it may hold.
        deliver: Called with each message, until it is draining.
        asks: Whether it may ask the queue for a message when none comes. A queue with a single active consumer takes no such question.

    Attributes:
        draining: It takes no more.
        over: Nothing more can be settled.
        asking: The queue has been asked for a message, and has not answered.
    """

    def __init__(self, link: Link, queue: str, prefetch: int, deliver: Callable[[Message], None], asks: bool = True):
        self._link, self._queue, self._prefetch, self._deliver, self._asks = link, queue, prefetch, deliver, asks
        self._waiting: dict[int, Message] = {}  # with no handler yet
        self._finished: deque[tuple[int, Settle]] = deque()
        self._back: list[int] = []  # to be given back, as if it had never been here
        self._flushing = False
        self._joiner = AckJoiner()
        self._received = 0
        self._held = 0  # received and not settled
        self._error: BaseException | None = None
        self._channel = link.channel()
        self._cancelled = False
        self._last = time.monotonic()  # a message came, or the answer that there is none
        self.draining = self.over = self.asking = False

    def run(self, attached: Callable[[], object]) -> None:
        """Consume until it is drained.

        Args:
            attached: Called once RabbitMQ has accepted the consumer.

        Raises:
            Cancelled, pika.exceptions.ChannelClosedByBroker: by RabbitMQ; the connection may still be good.
            One of ``connecting.LOST``: it is not.
        """
        channel = self._channel
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(self._on_cancel)
        channel.add_callback(self._none_there, [Basic.GetEmpty], one_shot=False)
        consuming: list[object] = []
        channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: None)
        self._tag = channel.basic_consume(queue=self._queue, on_message_callback=self._receive, callback=consuming.append)
        try:
            self._link.until(lambda: consuming or self._error, ANSWER, f"consume from {self._queue}")
            if self._error is None:
                self._link.watch(self._ask)
                attached()
                self._look()
            self._link.until(lambda: self._error or (self._cancelled and not self._held))
            if self._error is not None:
                raise self._error
        finally:
            self._link.watch(None)
            self.over = True
            self._waiting.clear()
            self._leave()

    def claim(self, message: Message) -> bool:
        """Whether the caller, and nobody else, may begin with *message*. No longer when it was given back, or is lost to this consumer."""
        return not self.draining and self._waiting.pop(message._tag, None) is not None

    def settle(self, message: Message, how: Settle) -> None:
        """Tell RabbitMQ what became of *message*, soon. Any thread may call this."""
        self._finished.append((message._tag, how))
        if not self._flushing:  # set back before the flush looks into the deque, so that none is left behind
            self._flushing = True
            self._link.call(self._flush)

    def drain(self) -> None:
        """Take no more, give back what no handler has begun with, and end when the others are settled."""
        if self.draining or not self._usable():
            return
        self.draining = True
        # pika rejects what arrives after its basic_cancel, which a quorum queue counts as a failure. So wait until nothing is on its way:
        # no ack makes room from here on, and then either the window fills up, or nothing more comes.
        self._calm_down(received=-1, looks=0)

    def abandon(self) -> None:
        """End at once, with messages in hand: they come again, and that counts as a failure of each."""
        self._end(Abandoned(f"messages were still in hand, which come again: {self._held}"))

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        """Have *function* called in so many seconds, unless the link ends before. Any thread may call this."""
        self._link.call(lambda: self._link.later(seconds, function))

    def _look(self) -> None:
        """Ask for a message where none has come for a while.

        A node that is cut off from the others keeps its pulse and delivers nothing, which looks like an empty queue from here. A queue that
        has a leader and a majority says that it has no message, or gives one.
        """
        if not self._asks or self.draining or not self._usable():
            return
        if not self.asking and not self._held and time.monotonic() - self._last > IDLE:
            self.asking = True
            self._channel.basic_get(queue=self._queue, callback=self._receive)
            asked = self._last
            self._link.later(ANSWER, lambda: self._miss(asked))
        self._link.later(IDLE / 6, self._look)

    def _miss(self, asked: float) -> None:
        if self.asking and self._last == asked and self._usable():
            silence = Silent(f"{self._queue} did not answer within {ANSWER:g} s at {self._link.node}")
            self._link.lose(silence)
            self._end(silence)

    def _none_there(self, _: object) -> None:
        self.asking, self._last = False, time.monotonic()

    def _receive(self, _: Channel, method: Basic.Deliver | Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
        self._last = time.monotonic()
        if isinstance(method, Basic.GetOk):
            self.asking = False
        message = Message(body, properties, method.routing_key or "", bool(method.redelivered))
        message._tag, message._subscription = method.delivery_tag or 0, self
        self._received += 1
        self._held += 1
        self._waiting[message._tag] = message
        if not self.draining:  # else it is given back with the others that wait
            self._deliver(message)

    def _flush(self) -> None:
        self._flushing = False
        if not self.draining and self._usable():
            self._tell(len(self._finished))

    def _tell(self, most: int) -> int:
        """Tell RabbitMQ what became of so many messages at most; the number of them."""
        done, number = [], min(most, len(self._finished))
        for _ in range(number):
            tag, how = self._finished.popleft()
            if how is Settle.ACK:
                done.append(tag)
            else:
                self._channel.basic_reject(delivery_tag=tag, requeue=True)
                self._joiner.settled(tag)
        for tag, multiple in self._joiner.join(done):
            self._channel.basic_ack(delivery_tag=tag, multiple=multiple)
        self._held -= number
        return number

    def _calm_down(self, received: int, looks: int) -> None:
        looks = looks + 1 if received == self._received else 0
        received = self._received
        if self.asking or (self._held < self._prefetch and looks < LOOKS):
            # A node that is slow with deliveries is slow with this answer, too.
            self._link.later(CALM, lambda: self._ask(lambda: self._calm_down(received, looks)))
        elif self._usable():
            self._channel.basic_cancel(consumer_tag=self._tag, callback=lambda _: None)
            self._cancelled = True
            self._back = [tag for tag in list(self._waiting) if self._waiting.pop(tag, None) is not None]
            self._portion()

    def _portion(self) -> None:
        """Settle what can be settled with a few frames; the rest a little later."""
        if not self._usable():
            return
        left = BURST - self._tell(BURST)
        if self._held == len(self._back) > 0:
            self._channel.basic_nack(delivery_tag=0, multiple=True, requeue=True)
            self._held = 0
            return
        for tag in self._back[:left]:
            self._channel.basic_nack(delivery_tag=tag, requeue=True)
            self._joiner.settled(tag)
            self._held -= 1
        self._back = self._back[left:]
        if self._held:
            self._link.later(CALM, lambda: self._ask(self._portion))

    def _ask(self, answered: Callable[[], None] = lambda: None) -> None:
        """Something that the node answers, and that changes nothing."""
        if self._usable():
            self._channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: answered())

    def _usable(self) -> bool:
        return not self.over and self._channel.is_open

    def _on_cancel(self, _: object) -> None:
        self._end(Cancelled(f"RabbitMQ has cancelled the consumer of {self._queue}"))

    def _closed(self, _: Channel, reason: BaseException) -> None:
        self._end(reason)

    def _end(self, error: BaseException) -> None:
        self._error = self._error or error
        self.over = True  # at once: an ack for a cancelled consumer would be taken, and bring the next message to nobody
        self._waiting.clear()

    def _leave(self) -> None:
        """Close the channel: only that takes a consumer that RabbitMQ has cancelled out of its queue."""
        if self._channel.is_open:
            self._channel.close()
            self._link.until(lambda: self._channel.is_closed, ANSWER, "the end of a channel")
