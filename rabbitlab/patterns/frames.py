"""A message as the bytes that AMQP 0-9-1 puts on the wire: a method frame, a header frame, and the body in as many frames as it needs.

``channel.basic_publish`` encodes the same bytes, each time anew, and sends each frame by itself. Encoded here, when the program publishes,
a message can be written together with hundreds of others, and again after a lost connection. pika does the encoding wherever it is not
the same for every message; the tests compare the rest with pika's, byte for byte.
"""

import copy
import struct
from collections.abc import Iterator
from functools import lru_cache
from os import urandom

from pika import frame, spec

CHANNEL = 1  # the publisher's only one
SMALL = spec.FRAME_MIN_SIZE - spec.FRAME_HEADER_SIZE - spec.FRAME_END_SIZE  # bytes of a body that one frame holds, whatever is agreed
OVERHEAD = spec.FRAME_HEADER_SIZE + spec.FRAME_END_SIZE  # bytes of a frame beside its payload
BASIC = spec.BasicProperties.INDEX
FLAGS = spec.BasicProperties.FLAG_DELIVERY_MODE | spec.BasicProperties.FLAG_MESSAGE_ID
END = bytes([spec.FRAME_END])
_HEADER = struct.Struct(">BHIHHQHBB")  # type, channel, size; class, weight, body size, flags; delivery mode, length of the message id
_BODY = struct.Struct(">BHI")  # type, channel, size


@lru_cache(maxsize=1024)
def method_frame(exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """``basic.publish``. Programs publish to the same few places, so it is kept."""
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)  # type: ignore[no-untyped-call]  # pika's
    return frame.Method(CHANNEL, publish).marshal()


def header_frame(size: int, message_id: str, delivery_mode: int, properties: spec.BasicProperties | None) -> bytes:
    """The properties and the body's *size* in bytes.

    Args:
        size: Of the body.
        message_id: Stands in for the one of *properties*.
        delivery_mode: Where *properties* have none.
        properties: Are not changed.

    Raises:
        ValueError: they take more than a frame. There is only one for them, and RabbitMQ closes the connection (501) over a larger one,
            with all that others have sent on it.
    """
    if properties is None:
        name = message_id.encode() if isinstance(message_id, str) else message_id
        if len(name) > 255:
            raise ValueError(f"a message_id has at most 255 bytes, this one {len(name)}: {message_id:.40}...")
        head = _HEADER.pack(spec.FRAME_HEADER, CHANNEL, 16 + len(name), BASIC, 0, size, FLAGS, delivery_mode, len(name))
        return head + name + END
    mine = copy.copy(properties)
    mine.message_id = message_id
    if mine.delivery_mode is None:
        mine.delivery_mode = delivery_mode
    header = frame.Header(CHANNEL, size, mine).marshal()
    if len(header) > spec.FRAME_MAX_SIZE:
        raise ValueError(f"the properties have one frame of {spec.FRAME_MAX_SIZE} bytes, and these take {len(header)} bytes")
    return header


def encoded(
    body: bytes,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    message_id: str,
    delivery_mode: int,
    properties: spec.BasicProperties | None,
) -> tuple[bytes, bytes]:
    """A message: the frames to be written at once, and its body where that is not small and has to be cut (:func:`body_frames`)."""
    method, header = method_frame(exchange, routing_key, mandatory), header_frame(len(body), message_id, delivery_mode, properties)
    if not body or len(body) > SMALL:
        return method + header, body
    return b"".join((method, header, _BODY.pack(spec.FRAME_BODY, CHANNEL, len(body)), body, END)), b""


def body_frames(body: bytes, frame_max: int) -> Iterator[bytes]:
    """The body, in frames of at most *frame_max* bytes, as agreed with the node; 0 is no limit. An empty body has no frame."""
    most = (frame_max - OVERHEAD) if frame_max else len(body)
    for start in range(0, len(body), most or 1):
        part = body[start : start + most]
        yield _BODY.pack(spec.FRAME_BODY, CHANNEL, len(part)) + part + END


def new_id() -> str:
    """A random UUID (version 4), as of :mod:`uuid`, which takes longer over it than over everything else about a message."""
    random = urandom(16).hex()
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-{'89ab'[int(random[16], 16) & 3]}{random[17:20]}-{random[20:]}"
