"""The limit: frames encoded once, written to a socket in blocks, while the confirms are read back and counted.

No client library does its work here, so nothing in Python can be faster over one connection with the same window.
"""

import socket
import struct
import time

import pika
from pika import frame, spec

from benchmarks.contender import BODY, PERSISTENT, WINDOW, Task, task, tell

BLOCK = 50  # messages written at once
ACK = b"\x00\x3c\x00\x50"  # class 60, method 80
HEADER, END = 7, 1  # bytes of a frame around its payload


def main() -> None:
    """Publish as asked."""
    asked = task()
    connection = opened(asked)
    method = frame.Method(1, spec.Basic.Publish(exchange="", routing_key=asked.queue, mandatory=True)).marshal()
    properties = pika.BasicProperties(message_id="12345", delivery_mode=PERSISTENT)
    block = (method + frame.Header(1, len(BODY), properties).marshal() + frame.Body(1, BODY).marshal()) * BLOCK
    confirms = Confirms(connection)
    sent, began = 0, time.perf_counter()
    while asked.wants_more(sent, began):
        while sent - confirms.number > WINDOW - BLOCK:
            confirms.read()
        connection.sendall(block)
        sent += BLOCK
    while confirms.number < sent:
        confirms.read()
    tell(sent, began)
    connection.close()


class Confirms:
    """Counts what the broker confirms on a connection.

    Attributes:
        number: Of messages that are confirmed.
    """

    def __init__(self, connection: socket.socket):
        self.number = 0
        self._connection, self._rest = connection, b""
        self._below = 1  # every tag below it is confirmed
        self._single: set[int] = set()  # confirmed by themselves, above it

    def read(self) -> None:
        """Wait for the next bytes, and count the confirms in them."""
        received = self._connection.recv(65536)
        if not received:
            raise ConnectionError("the node has closed the connection")
        data, at = self._rest + received, 0
        while len(data) - at >= HEADER:
            size = struct.unpack_from(">L", data, at + 3)[0]
            if len(data) - at < HEADER + size + END:
                break
            if data[at] == 1 and data[at + HEADER : at + HEADER + 4] == ACK:
                self._count(*struct.unpack_from(">QB", data, at + HEADER + 4))
            elif data[at] == 1:
                raise ConnectionError(f"the node says {data[at + HEADER : at + HEADER + 4].hex()}, and that is no confirm")
            at += HEADER + size + END
        self._rest = data[at:]

    def _count(self, tag: int, multiple: int) -> None:
        if not multiple:
            self.number += 1
            self._single.add(tag)
            return
        for one in range(self._below, tag + 1):
            if one in self._single:
                self._single.remove(one)
            else:
                self.number += 1
        self._below = tag + 1


def opened(asked: Task) -> socket.socket:
    """A socket on which a channel is open, in confirm mode."""
    connection = socket.create_connection((asked.host, asked.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(frame.ProtocolHeader().marshal())
    answered(connection)
    response = f"\0{asked.user}\0{asked.password}"
    connection.sendall(frame.Method(0, spec.Connection.StartOk({}, "PLAIN", response, "en_US")).marshal())
    tuned = answered(connection)
    connection.sendall(frame.Method(0, spec.Connection.TuneOk(tuned.channel_max, tuned.frame_max, 0)).marshal())
    for channel, method in ((0, spec.Connection.Open(asked.vhost)), (1, spec.Channel.Open()), (1, spec.Confirm.Select())):
        connection.sendall(frame.Method(channel, method).marshal())
        answered(connection)
    return connection


def answered(connection: socket.socket):
    """The next method that the broker sends."""
    data = b""
    while True:
        data += connection.recv(65536)
        size, decoded = frame.decode_frame(data)
        if decoded:
            assert size == len(data)  # it says nothing that it was not asked
            return decoded.method


if __name__ == "__main__":
    main()
