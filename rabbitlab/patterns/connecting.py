"""How to reach a cluster: which node, how long to wait for it, and which errors mean that the connection is gone.

pika's own defaults suit a first lesson. It asks one node and waits 15 seconds for it, never notices that a publisher is blocked, and a
connection has no name in the management UI. What it raises for a lost connection is no single class either.
"""

import copy
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.connection import Parameters, URLParameters
from pika.exceptions import AMQPConnectionError, AMQPError, AuthenticationError, ProbableAccessDeniedError, ProbableAuthenticationError

#: The connection is gone, or could not be made. ``AMQPConnectorException``, which is no ``AMQPError``, comes from a node that takes the TCP
#: connection and then says nothing; ``OSError`` from the network. ``AMQPError`` includes what RabbitMQ says about one message or one
#: channel (a nack, 404): catch ``UnroutableError`` and ``NackError`` first where the difference matters.
LOST: tuple[type[Exception], ...] = (AMQPError, AMQPConnectorException, OSError)


class NotAsked(Exception):
    """Nothing was asked of RabbitMQ, so this says nothing about it, neither good nor bad: no connection was free, say."""


#: One address or several: URLs such as ``amqp://user:password@host:5672/vhost``, and pika's parameters, which can carry a TLS context.
Addresses: TypeAlias = str | Parameters | Sequence[str | Parameters]


def parameters(
    urls: Addresses,
    *,
    name: str,
    heartbeat: int = 10,
    timeout: float = 4.0,
    blocked_timeout: float = 30.0,
    cut_timeout: float | None = None,
) -> list[Parameters]:
    """How to connect to each node of a cluster, for ``pika.BlockingConnection`` or the workflow of a ``pika.SelectConnection``.

    The nodes come in a new order each time, so that clients spread over them, also when all of them return at the same moment. Ask again
    before each attempt to connect. What is given is copied, and what these arguments say replaces what a URL's query says.

    Args:
        urls: The nodes, or one of them, or a load balancer.
        name: Shown for the connection in the management UI and in the node's log.
        heartbeat: Seconds, an integer. A node that says nothing is noticed after at most 2 x (heartbeat + 5) s, whatever else happens.
        timeout: Seconds for each address to answer, from TCP to the end of the login.
        blocked_timeout: Seconds that a node may refuse to read what is published, for want of memory or disk, until the connection ends
            with ``pika.exceptions.ConnectionBlockedTimeout``.
        cut_timeout: Seconds that sent bytes may stay without an acknowledgement of TCP, which is how soon a cut cable is noticed by whoever
            sends (on Linux); as long as *timeout* unless given. A node that has stopped reading looks the same as soon as the kernel's
            buffers are full, some megabytes: who publishes as much at once gives it ``blocked_timeout``, or is connected again and again.

    Raises:
        ValueError: for an empty list, or for what is no URL of a node.
    """
    given = [urls] if isinstance(urls, str | Parameters) else list(urls)
    if not given:
        raise ValueError("no address: name at least one node, as amqp://user:password@host:port/vhost")
    return [
        _tuned(address, name, heartbeat, timeout, blocked_timeout, cut_timeout or timeout) for address in random.sample(given, len(given))
    ]


def login_refused(error: BaseException) -> bool:
    """Whether RabbitMQ said no to user, password, kind of login or virtual host, which asking again will not change.

    pika suspects it (``Probable...Error``) of each connection that ends during the login, that to a dying node too. Here it is true only
    where RabbitMQ gave the reason itself: 403, or 530 where that is not about a limit of connections, which others may leave again.
    """
    if isinstance(error, AuthenticationError):
        return True  # the node offers no such login: EXTERNAL, for instance
    if not isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError):
        return False
    reason = str(error)
    return "(403)" in reason or ("(530)" in reason and "limit" not in reason)


@contextmanager
def limited(connection: pika.BlockingConnection, seconds: float) -> Iterator[None]:
    """End *connection* where the body takes longer: its call to pika then raises ``pika.exceptions.AMQPConnectionError``.

    pika has no timeout for a call. Opening a channel, or waiting for a confirm, on a node that is silent takes until pika misses its
    heartbeats, 2 x (heartbeat + 5) s. The time counts from here, not from the call. On a connection that is closed nothing is limited.

    This uses what pika's own heartbeats use, which is not public: look here again when pika has a new minor version.
    """
    if not connection.is_open:
        yield
        return
    inner = connection._impl
    error = AMQPConnectionError(f"no answer within {seconds:.1f} s")
    timer = inner._adapter_call_later(max(seconds, 0), lambda: inner._terminate_stream(error))
    try:
        yield
    finally:
        inner._adapter_remove_timeout(timer)


def _tuned(address: str | Parameters, name: str, heartbeat: int, timeout: float, blocked_timeout: float, cut_timeout: float) -> Parameters:
    tuned = _parsed(address) if isinstance(address, str) else copy.copy(address)
    tuned.heartbeat = heartbeat
    tuned.socket_timeout = tuned.stack_timeout = timeout
    tuned.blocked_connection_timeout = blocked_timeout
    tuned.connection_attempts = 1  # whoever asked decides when to ask again: see retry.py
    tuned.client_properties = {**(tuned.client_properties or {}), "connection_name": name}
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        tuned.tcp_options = {"TCP_USER_TIMEOUT": int(cut_timeout * 1000), **(tuned.tcp_options or {})}
    return tuned


def _parsed(url: str) -> Parameters:
    try:
        if "://" in url:
            return URLParameters(url)
    except (ValueError, TypeError):  # TypeError: pika met a user without a password
        pass
    public = url.rpartition("@")[2]  # a password belongs in no traceback
    raise ValueError(f"no address of a node: ...{public!r}; it should read amqp://user:password@host:port/vhost") from None
