"""A TCP proxy between a client and a node, which does to a connection what networks do: on purpose, and as often as you like.

The faults of :mod:`rabbitlab.faults` break nodes; these break one connection at an exact place. A confirm that is lost on the wire needs
that: the broker has stored the message, and the publisher never hears of it.
"""

import os
import selectors
import socket
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from rabbitlab.nodes import HOST

CHUNK = 65536  # bytes read at once
HELD = 1 << 20  # bytes that a direction holds back before it stops reading, as a network does
SLICES = 20  # a throttled link passes this many pieces a second
BASIC_ACK = b"\x00\x3c\x00\x50"  # class 60, method 80
TO_CLIENT, TO_BROKER, BOTH = "to_client", "to_broker", "both"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_open: "weakref.WeakSet[Proxy]" = weakref.WeakSet()
_forking = threading.Lock()  # held while sockets come and go, and during a fork


class Proxy:
    """Pass bytes between clients and a node, until told otherwise.

    As a context manager it listens inside the ``with``; after it every socket is closed and its thread has ended. What a method switches
    on holds for the connections that are open and for those to come, until :meth:`heal`. A method returns when it holds.

    Args:
        to: The node's port on 127.0.0.1.

    Attributes:
        port: Where clients connect, on 127.0.0.1.
        accepted: How many connections it has accepted so far.
    """

    def __init__(self, to: int = 5672):
        self._to = to
        self._links: set[_Link] = set()
        self._calls: deque = deque()
        self._silent: set[str] = set()
        self._seconds = 0.0
        self._rate = 0.0
        self._cut: dict[str, int] = {}
        self._acks = 0  # until the one that is swallowed; 0: none is
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> "Proxy":
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, lambda _: self._woken.recv(CHUNK))
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()
        _open.add(self)
        return self

    def __exit__(self, *_) -> None:
        _open.discard(self)
        self._ending = True
        self._wake.send(b"!")  # the thread may have ended by now, in which case nobody reads it
        self._thread.join()
        self._wake.close()
        self._woken.close()

    @property
    def connections(self) -> int:
        """How many connections are open through it now."""
        return len(self._links)

    def reset(self) -> int:
        """Break every open connection on both sides with a TCP reset; returns how many. New ones are welcome."""
        return self._do(self._reset)

    def black_hole(self, direction: str = BOTH) -> None:
        """Pass nothing on, and say nothing: as a cable that was pulled. Connecting works, and then nothing answers.

        What was sent meanwhile arrives after :meth:`heal`, as TCP would send it again.

        Args:
            direction: ``"to_client"``, ``"to_broker"`` or ``"both"``.
        """
        ways = _directions(direction)
        self._do(lambda: self._silent.update(ways))

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later, in both directions."""
        self._do(lambda: setattr(self, "_seconds", seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """Let no more through in each direction of each connection, in slices that respect no frame."""
        self._do(lambda: setattr(self, "_rate", bytes_per_second))

    def cut(self, after: int, direction: str = BOTH) -> None:
        """Reset a connection when it has passed *after* more bytes on in this direction; with ``"both"``, in either.

        Args:
            after: Bytes, counted from now on a connection that is open, and from its beginning on one to come.
            direction: As for :meth:`black_hole`.
        """
        ways = _directions(direction)

        def arm() -> None:
            self._cut = dict.fromkeys(ways, after)
            for link in self._links:
                link.count()

        self._do(arm)

    def lose_confirm(self, nth: int = 1) -> None:
        """Lose a publisher confirm: swallow the *nth* ``basic.ack`` that a node sends from now on, and reset its connection. Once.

        The node has stored the message by then. Whatever came before on this connection has reached its client; the ack, and what
        follows it, has not. A node may confirm several messages with one ack; it counts as one.
        """
        self._do(lambda: setattr(self, "_acks", nth))

    def heal(self) -> None:
        """Pass everything on again, at once, what was held back included."""

        def mend() -> None:
            self._silent, self._seconds, self._rate, self._cut, self._acks = set(), 0.0, 0.0, {}, 0
            for link in self._links:
                link.count()
                link.hurry()

        self._do(mend)

    def _do(self, change: Callable):
        """Let the proxy's own thread do it, and wait: nothing here is touched by two threads."""
        if not self._thread.is_alive():
            raise RuntimeError("This proxy is closed; use it inside its with.")
        done, results = threading.Event(), []
        self._calls.append((change, results, done))
        self._wake.send(b"!")
        done.wait()
        return results[0]

    def _serve(self) -> None:
        try:
            while not self._ending:
                ready = self._selector.select(self._patience())
                with _forking:
                    self._move(ready)
        finally:
            self._reset()
            self._listener.close()
            self._selector.close()

    def _move(self, ready: list) -> None:
        for key, events in ready:
            key.data(events)
        while self._calls:
            change, results, done = self._calls.popleft()
            results.append(change())
            done.set()
        for link in list(self._links):
            link.pump()

    def _patience(self) -> float | None:
        """Seconds until some byte that is held back is due; None where there is none."""
        due = [pipe.due() for link in self._links for pipe in link.pipes]
        nearest = min((moment for moment in due if moment is not None), default=None)
        return None if nearest is None else max(0.0, nearest - time.monotonic())

    def _accept(self, _) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has gone again
            return
        self.accepted += 1
        broker = socket.socket()
        broker.setblocking(False)
        broker.connect_ex((HOST, self._to))  # what comes of it is seen at the first byte that is to pass
        self._links.add(_Link(self, client, broker))

    def _reset(self) -> int:
        links = list(self._links)
        for link in links:
            link.break_off()
        return len(links)

    def _swallows(self) -> bool:
        """Whether the ack that is passing now is the one to be lost."""
        if not self._acks:
            return False
        self._acks -= 1
        return self._acks == 0

    def _disown(self) -> None:
        """Let go of everything in a forked child: a reset reaches the other side only when nobody holds the socket any more."""
        for link in self._links:
            for end in link.sockets:
                end.close()
        for thing in (self._listener, self._wake, self._woken, self._selector):
            thing.close()


class _Link:
    """A client's connection and the one to the node, with a pipe in each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, broker: socket.socket):
        self.proxy = proxy
        self.sockets: tuple[socket.socket, ...] = (client, broker)
        for end in self.sockets:
            end.setblocking(False)
            with suppress(OSError):  # macOS refuses where the other side has gone again by now
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pipes = (_Pipe(self, TO_BROKER, client, broker), _Pipe(self, TO_CLIENT, broker, client))
        self._watched: dict[socket.socket, int] = {}
        self.count()
        self._watch()

    def count(self) -> None:
        for pipe in self.pipes:
            pipe.left = self.proxy._cut.get(pipe.way)

    def hurry(self) -> None:
        for pipe in self.pipes:
            pipe.hurry()

    def pump(self) -> None:
        """Move what may move, and end with the last direction that ends."""
        try:
            for pipe in self.pipes:
                pipe.write()
        except OSError:
            self.break_off()
        if self.sockets and all(pipe.ended for pipe in self.pipes):
            self._close(lambda end: end.close())
        elif self.sockets:
            self._watch()

    def break_off(self) -> None:
        """A reset in both directions."""
        self._close(_break)

    def _close(self, close: Callable) -> None:
        for end in self.sockets:
            if self._watched.pop(end, 0):
                self.proxy._selector.unregister(end)
            close(end)
        self.sockets = ()
        self.proxy._links.discard(self)

    def _watch(self) -> None:
        """Ask the selector for what can be used and for nothing else: it would be told of it again and again."""
        for end in self.sockets:
            events = selectors.EVENT_READ * any(p.source is end and p.wants_more() for p in self.pipes)
            events |= selectors.EVENT_WRITE * any(p.target is end and p.stuck for p in self.pipes)
            before = self._watched.get(end, 0)
            self._watched[end] = events
            if before and events != before:
                self.proxy._selector.unregister(end)
            if events and events != before:
                self.proxy._selector.register(end, events, lambda ready, end=end: self._ready(end, ready))

    def _ready(self, end: socket.socket, events: int) -> None:
        try:
            for pipe in self.pipes:
                if self.sockets and pipe.source is end and events & selectors.EVENT_READ:
                    pipe.read()
        except BlockingIOError:
            pass
        except OSError:
            self.break_off()


class _Pipe:
    """One direction of a link: what was read, when each piece is due, and how much may still pass."""

    def __init__(self, link: _Link, way: str, source: socket.socket, target: socket.socket):
        self.link, self.way, self.source, self.target = link, way, source, target
        self.left: int | None = None  # bytes until the cut
        self.stuck = False  # the target takes no more at the moment
        self.ended = False  # the end of the stream was passed on
        self._pieces: deque[tuple[float, bytes | None]] = deque()  # due at, bytes; none at the end of the stream; None: break off
        self._held = 0
        self._finished = False
        self._next_slice = 0.0
        self._frames = _Frames()

    def wants_more(self) -> bool:
        return not self._finished and self._held < HELD

    def read(self) -> None:
        data = self.source.recv(CHUNK)
        due = time.monotonic() + self.link.proxy._seconds
        self._finished = not data
        if self.way == TO_CLIENT:
            for start in self._frames.acks(data):
                if self.link.proxy._swallows():
                    data, self._finished = data[: max(0, start)], True
                    self._pieces.extend(((due, data), (due, None)) if data else ((due, None),))
                    self._held += len(data)
                    return
        self._pieces.append((due, data))
        self._held += len(data)

    def hurry(self) -> None:
        self._pieces = deque((0.0, data) for _, data in self._pieces)
        self._next_slice = 0.0

    def due(self) -> float | None:
        """When something can be written; None when that is for others to say."""
        if not self._pieces or self.stuck or self.way in self.link.proxy._silent:
            return None
        return max(self._pieces[0][0], self._next_slice)

    def write(self) -> None:
        self.stuck = False
        while self.link.sockets and (due := self.due()) is not None and due <= time.monotonic():
            self._write_piece(*self._pieces.popleft())

    def _write_piece(self, due: float, data: bytes | None) -> None:
        if data is None:
            self.link.break_off()
            return
        if not data:
            self.target.shutdown(socket.SHUT_WR)
            self.ended = True
            return
        sent = self._send(data)
        self._held -= sent
        if sent < len(data):
            self._pieces.appendleft((due, data[sent:]))
        if self.left is not None:
            self.left -= sent
            if self.left <= 0:
                self.link.break_off()

    def _send(self, data: bytes) -> int:
        """Send as much as the throttle and the cut allow, and the target takes."""
        rate = self.link.proxy._rate
        most = max(1, int(rate / SLICES)) if rate else len(data)
        most = most if self.left is None else min(most, self.left)
        try:
            sent = self.target.send(data[:most]) if most > 0 else 0
        except BlockingIOError:
            self.stuck = True
            return 0
        if rate:
            self._next_slice = time.monotonic() + sent / rate
        return sent


class _Frames:
    """Follows AMQP frames through a stream that comes in pieces, and finds the acknowledgements in it."""

    HEADER = 7  # type, channel, size

    def __init__(self):
        self._start = bytearray()  # of the frame that passes now, until its method is known
        self._skip = 0  # bytes of it that are of no interest

    def acks(self, data: bytes) -> list[int]:
        """Where in *data* each frame begins that is a ``basic.ack``; below 0 when it began in a piece before."""
        found, at = [], 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            take = self._wanted() - len(self._start)
            self._start += data[at : at + take]
            at += min(take, len(data) - at)
            if len(self._start) == self._wanted():
                if self._start[0] == 1 and self._start[self.HEADER :] == BASIC_ACK:
                    found.append(at - len(self._start))
                self._skip = self._size() + self.HEADER + 1 - len(self._start)
                self._start.clear()
        return found

    def _wanted(self) -> int:
        """How much of the frame tells what it is: its header, and of its payload the class and the method."""
        return self.HEADER if len(self._start) < self.HEADER else self.HEADER + min(self._size(), len(BASIC_ACK))

    def _size(self) -> int:
        return int.from_bytes(self._start[3:7], "big")


def _directions(direction: str) -> tuple[str, ...]:
    if direction not in (TO_CLIENT, TO_BROKER, BOTH):
        raise ValueError(f"The direction {direction!r} is none of {TO_CLIENT!r}, {TO_BROKER!r}, {BOTH!r}.")
    return (TO_CLIENT, TO_BROKER) if direction == BOTH else (direction,)


def _break(end: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    with suppress(OSError):  # macOS refuses where the other side has reset it: there is nothing left to reset
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    end.close()


def _let_go_in_child() -> None:
    global _forking
    _forking = threading.Lock()
    for proxy in list(_open):
        proxy._disown()
    _open.clear()


os.register_at_fork(before=lambda: _forking.acquire(), after_in_parent=lambda: _forking.release(), after_in_child=_let_go_in_child)
