"""Break the cluster and mend it: each fault is a context manager. Inside the ``with`` the fault is there; after it, it is mended.

Only what lessons need so far; nodes are not touched yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rabbitlab import broker

OPENING = 3  # seconds: a client on another thread may be about to connect


@contextmanager
def closed_connections(name: str | None = None, vhost: str = "/") -> Iterator[int]:
    """Close client connections from the broker's side, as an operator does, before the body runs.

    A client sees a connection closed with 320, CONNECTION_FORCED. It may connect again at once, also inside the body: nothing keeps it out,
    and there is nothing to mend afterwards. For a connection opened in the last five seconds this first waits until the broker's
    statistics know it.

    RabbitMQ takes nothing more from a connection that is closed. While its client does not read the farewell, RabbitMQ keeps the
    socket open for up to 30 seconds, and :func:`rabbitlab.broker.connections` goes on counting it.

    RabbitMQ's documentation: https://www.rabbitmq.com/docs/http-api-reference (``DELETE /api/connections/{name}``).

    Args:
        name: Only the connections whose client calls itself so:
            ``pika.ConnectionParameters(client_properties={"connection_name": "till"})``. Without it, every connection to *vhost*.
        vhost: The virtual host. Connections to others are left alone, and so are those of the lab's own tools.

    Yields:
        The number of connections closed.

    Raises:
        LookupError: no such connection is open; says which are.
        TimeoutError: the management API does not accept that one of them be closed.
    """
    targets = _open_connections(name, vhost)
    for connection in targets:
        _close(connection, vhost)
    yield len(targets)


def _open_connections(name: str | None, vhost: str) -> list[str]:
    """The connections to close, at least one."""
    found: list[str] = []

    def some() -> bool:
        found[:] = broker.connections(name, vhost=vhost)
        return bool(found)

    try:
        broker.wait_until(some, OPENING)
    except TimeoutError:
        given = sorted({given or "(no name)" for given in broker.named_connections(vhost=vhost).values()})
        which = f"calls itself {name!r}" if name else "is there"
        open_now = f"Open are: {', '.join(given)}." if given else "None is open."
        raise LookupError(f"No connection to the virtual host {vhost!r} {which}. {open_now}") from None
    return found


def _close(connection: str, vhost: str) -> None:
    """Close one connection; the API refuses with 404 until statistics know it, so go on until it is accepted or gone by itself.

    The API answers when the connection's process has sent the farewell. No check of the connection list could say more: a client that
    sleeps, or the one that is asking, cannot answer the farewell, and is listed until RabbitMQ has waited for that long enough.
    """

    def accepted() -> bool:
        try:
            broker.api(broker.path("connections", connection), "DELETE")
        except LookupError:
            return connection not in broker.connections(vhost=vhost)
        return True

    broker.wait_until(accepted, broker.TICK, f"the connection {connection} to be known to the management API")
