"""How to reach a cluster: which node, how long to wait for it, and which errors mean that the connection is gone.

pika's own defaults suit a first lesson. It asks one node and waits 15 seconds for it, never notices that a publisher is blocked, and a
connection has no name in the management UI. What it raises for a lost connection is no single class either.
"""

import copy
import random
import socket
from collections.abc import Sequence
from typing import TypeAlias

from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.connection import Parameters, URLParameters
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

#: The connection is gone, or could not be made. ``AMQPConnectorException``, which is no ``AMQPError``, comes from a node that takes the TCP
#: connection and then says nothing; ``OSError`` from the network. ``AMQPError`` includes what RabbitMQ says about one message or one
#: channel (a nack, 404): catch ``UnroutableError`` and ``NackError`` first where the difference matters.
LOST: tuple[type[Exception], ...] = (AMQPError, AMQPConnectorException, OSError)

#: One address or several: URLs such as ``amqp://user:password@host:5672/vhost``, and pika's parameters, which can carry a TLS context.
Addresses: TypeAlias = str | Parameters | Sequence[str | Parameters]


def parameters(urls: Addresses, *, name: str, heartbeat: int = 10, timeout: float = 4.0, blocked_timeout: float = 30.0) -> list[Parameters]:
    """How to connect to each node of a cluster, for ``pika.BlockingConnection`` or the workflow of a ``pika.SelectConnection``.

    The nodes come in a new order each time, so that clients spread over them, also when all of them return at the same moment. Ask again
    before each attempt to connect. What is given is copied, and what these arguments say replaces what a URL's query says.

    Args:
        urls: The nodes, or one of them, or a load balancer.
        name: Shown for the connection in the management UI and in the node's log.
        heartbeat: Seconds, an integer. A node that says nothing is noticed after at most 2 x (heartbeat + 5) s, whatever else happens.
        timeout: Seconds for each address to answer, from TCP to the end of the login. Also how long sent bytes may stay without a
            TCP acknowledgement (Linux only), which is how soon a cut cable is noticed while something is being sent.
        blocked_timeout: Seconds that a node may refuse to read what is published, for want of memory or disk, until the connection ends
            with ``pika.exceptions.ConnectionBlockedTimeout``.

    Raises:
        ValueError: for an empty list, or for what is no URL of a node.
    """
    given = [urls] if isinstance(urls, str | Parameters) else list(urls)
    if not given:
        raise ValueError("no address: name at least one node, as amqp://user:password@host:port/vhost")
    return [_tuned(address, name, heartbeat, timeout, blocked_timeout) for address in random.sample(given, len(given))]


def login_refused(error: BaseException) -> bool:
    """Whether RabbitMQ said no to user, password or virtual host, which asking again will not change.

    pika suspects it (``Probable...Error``) of each connection that ends during the login, that to a dying node too. Here it is true only
    where RabbitMQ gave the reason itself: 403, or 530 where that is not about a limit of connections, which others may leave again.
    """
    if not isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError):
        return False
    reason = str(error)
    return "(403)" in reason or ("(530)" in reason and "limit" not in reason)


def _tuned(address: str | Parameters, name: str, heartbeat: int, timeout: float, blocked_timeout: float) -> Parameters:
    tuned = _parsed(address) if isinstance(address, str) else copy.copy(address)
    tuned.heartbeat = heartbeat
    tuned.socket_timeout = tuned.stack_timeout = timeout
    tuned.blocked_connection_timeout = blocked_timeout
    tuned.connection_attempts = 1  # whoever asked decides when to ask again: see retry.py
    tuned.client_properties = {**(tuned.client_properties or {}), "connection_name": name}
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        tuned.tcp_options = {"TCP_USER_TIMEOUT": int(timeout * 1000), **(tuned.tcp_options or {})}
    return tuned


def _parsed(url: str) -> Parameters:
    try:
        if "://" in url:
            return URLParameters(url)
    except (ValueError, TypeError):  # TypeError: pika met a user without a password
        pass
    public = url.rpartition("@")[2]  # a password belongs in no traceback
    raise ValueError(f"no address of a node: ...{public!r}; it should read amqp://user:password@host:port/vhost") from None
