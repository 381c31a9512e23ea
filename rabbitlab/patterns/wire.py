"""The way from encoded messages to the socket, past ``channel.basic_publish``.

``basic_publish`` hands each of the three frames of a message to the transport by itself, and the transport calls the kernel for each. Most
of the time that a publisher takes goes there. The transport, to which pika writes heartbeats and the like meanwhile, takes any number of
whole frames at once just as well. pika passes it on to whoever provides its I/O services, through an interface that has no underscore but
which it does not promise to keep either: the tests compare what arrives with what ``basic_publish`` would send.
"""

import socket
import ssl
from collections.abc import Callable
from typing import TypeAlias

from pika.adapters.utils.nbio_interface import AbstractIOReference, AbstractStreamProtocol, AbstractStreamTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

from .frames import body_frames
from .receipt import Receipt

Opened: TypeAlias = tuple[AbstractStreamTransport, AbstractStreamProtocol] | BaseException


class Services(SelectorIOServicesAdapter):
    """pika's I/O services for one connection, given as its ``custom_ioloop``.

    Attributes:
        transport: Of the connection, once TCP and TLS are there. Its ``write`` takes bytes, its ``get_write_buffer_size`` says how many
            the kernel has not taken yet, and its ``abort`` ends the connection without asking the other side.
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
        """As pika's own, which makes the transport."""

        def done(result: Opened) -> None:
            if isinstance(result, tuple):
                self.transport = result[0]
            on_done(result)

        return super().create_streaming_connection(protocol_factory, sock, done, ssl_context, server_hostname)


def write(transport: AbstractStreamTransport, receipts: list[Receipt], frame_max: int) -> None:
    """Write messages: all small ones at once; a large one frame by frame, because pika copies what the kernel does not take, each time."""
    data: list[bytes] = []
    for receipt in receipts:
        data.append(receipt._head)
        if receipt._body:
            for part in body_frames(receipt._body, frame_max):
                data.append(part)
                transport.write(b"".join(data))
                data.clear()
    if data:
        transport.write(b"".join(data))
