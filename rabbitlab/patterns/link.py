"""A connection that one thread pumps, and on which no step takes longer than it may.

``pika.BlockingConnection`` waits for each answer without a limit: at a node that falls silent, or for a queue that has lost its leader,
``basic_consume`` may not return for a minute. ``pika.SelectConnection`` calls back instead. Here it is pumped as ``BlockingConnection``
does it, so that code still reads from top to bottom, with a time limit on each step.
"""

from collections.abc import Callable
from typing import Any

from pika import SelectConnection
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.channel import Channel
from pika.connection import Parameters
from pika.exceptions import AMQPConnectionError, ConnectionClosedByClient

from .connecting import LOST, login_refused
from .rounds import Failures, address

ANSWER = 5.0  # seconds for an answer on an open connection
TICK = 1.5  # seconds between two looks whether the node has said anything
QUIET = 3  # looks in a row without a byte, although it was asked something, after which it is gone


class Silent(AMQPConnectionError):
    """The node takes what is sent, and does not answer."""


class Link:
    """An open connection, used by the thread that made it. Other threads may :meth:`call` it and nothing else.

    Args:
        parameters: Where to connect. Its ``stack_timeout`` limits how long that takes.

    Raises:
        One of ``connecting.LOST``: it cannot be made; and from each method, once it is lost.
    """

    def __init__(self, parameters: Parameters):
        self.node = address(parameters)
        self._loop = IOLoop()
        self._lost: BaseException | None = None
        self._heard = self._quiet = 0
        self._probe: Callable[[], object] | None = None
        self._loop.activate_poller()
        self._connection = SelectConnection(parameters, None, self._ended, self._ended, custom_ioloop=self._loop)
        try:
            self.until(lambda: self._connection.is_open, 2 * (parameters.stack_timeout or ANSWER), "the login")
        except BaseException as error:
            self._hang_up(error)
            raise
        self._loop.call_later(TICK, self._listen)

    def call(self, function: Callable[[], object]) -> None:
        """Have *function* called by the link's own thread, soon. Nothing happens when the link has ended."""
        self._loop.add_callback_threadsafe(function)  # type: ignore[arg-type]

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        """Have *function* called in so many seconds, unless the link ends before."""
        self._loop.call_later(max(0.0, seconds), function)  # type: ignore[arg-type]

    def until(self, done: Callable[[], object], within: float | None = None, what: str = "") -> None:
        """Pump until *done*, which is asked after each turn.

        Args:
            done: True ends it.
            within: Seconds at most; without it, for as long as it takes.
            what: Is waited for; for the error.

        Raises:
            Silent: it took longer. The link is lost by that: a node with a pulse that does not answer passes its questions on to another
                one, which is gone, and would not answer a farewell either.
        """
        late: list[bool] = []
        timer = None if within is None else self._loop.call_later(within, lambda: late.append(True))
        try:
            while not done():
                if self._lost is not None:
                    raise self._lost
                if late:
                    self._lost = Silent(f"{self.node} did not answer within {within:g} s: {what}")
                    raise self._lost
                self._loop.poll()
                self._loop.process_timeouts()
        finally:
            if timer is not None:
                self._loop.remove_timeout(timer)

    def channel(self) -> Channel:
        """A new channel, open."""
        opened: list[Channel] = []
        self._connection.channel(on_open_callback=opened.append)
        self.until(lambda: opened, ANSWER, "a channel")
        return opened[0]

    def watch(self, probe: Callable[[], object] | None) -> None:
        """From now on, call *probe* when the node has said nothing for some seconds: it asks something that has an answer.

        When none comes the link is lost, after four and a half to six seconds of silence. A heartbeat of ten seconds needs up to thirty.
        """
        self._probe, self._quiet = probe, 0

    def lose(self, error: BaseException) -> None:
        """Take the node for gone, for this reason. Its own thread only."""
        self._lost = self._lost or error

    def close(self) -> None:
        """Take leave; or hang up, where the node does not answer that either."""
        self._probe = None
        try:
            if self._lost is None:
                self._connection.close()
                self.until(lambda: self._lost is not None, ANSWER, "a farewell")
        except LOST as error:
            self._hang_up(error)
        else:
            self._hang_up(None)

    def _ended(self, _: Any, reason: BaseException | None) -> None:
        self._lost = self._lost or _cause(reason) or ConnectionClosedByClient(200, "closed")

    def _listen(self) -> None:
        heard = self._connection.bytes_received
        self._quiet = self._quiet + 1 if self._probe and heard == self._heard else 0
        self._heard = heard
        if self._quiet == 1 and self._probe:
            self._probe()
        if self._quiet > QUIET:
            self._lost = Silent(f"{self.node} has said nothing for {QUIET * TICK:g} s")
        self._loop.call_later(TICK, self._listen)

    def _hang_up(self, error: BaseException | None) -> None:
        reason = error if isinstance(error, Exception) else AMQPConnectionError(repr(error))
        # pika has no public way to end a connection without the node's answer. Its own check of heartbeats does it like this, too.
        if not self._connection.is_closed:
            self._connection._terminate_stream(reason)
        for _ in range(3):  # the socket is closed in one of the next turns
            self._loop.process_timeouts()
        self._loop.close()


def first(addresses: list[Parameters], failures: Failures, ended: Callable[[], bool]) -> Link:
    """A link to the first of the nodes that answers.

    Args:
        addresses: Of the nodes.
        failures: Says in which order they are tried, and is told of each that does not answer.
        ended: True ends it: it is not wanted any more.

    Raises:
        One of ``connecting.LOST``: what went wrong at the last of them, or a refused login at any.
    """
    last: Exception = AMQPConnectionError("no address")
    for node in failures.last(addresses):
        try:
            return Link(node)
        except LOST as error:
            last = error
            if login_refused(error) or ended():
                break
            failures.add(address(node), reached=False)
    raise last


def _cause(error: BaseException | None) -> BaseException | None:
    """What went wrong, out of the layers that pika wraps around it while it connects."""
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return _cause(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return _cause(error.exception)
    if isinstance(error, AMQPConnectionError) and error.args and isinstance(error.args[0], AMQPConnectionWorkflowFailed):
        return _cause(error.args[0])
    return error
