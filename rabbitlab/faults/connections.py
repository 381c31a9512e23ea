"""The broker closes client connections."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rabbitlab import broker
from rabbitlab.faults.fault import Fault

OPENING = 3  # seconds: a client on another thread may be about to connect


@contextmanager
def closed_connections(name: str | None = None, vhost: str = "/") -> Iterator[Fault]:
    """Close client connections from the broker's side, as an operator does; they are closed before the body runs.

    Closed means that the broker has ended their channels: consumers are gone, what was not acknowledged is ready again, and the
    client's next call raises ``ConnectionClosedByBroker`` (320, CONNECTION_FORCED). The client may connect again at once, also inside
    the body: nothing keeps it out, and nothing is left to mend.

    A connection opened in the last five seconds is not known by name to the broker's statistics; this waits until it is.

    RabbitMQ's documentation: https://www.rabbitmq.com/docs/http-api-reference (``DELETE /api/connections/{name}``).

    Args:
        name: Only the connections whose client calls itself so:
            ``pika.ConnectionParameters(client_properties={"connection_name": "till"})``. Without it, every connection to *vhost*.
        vhost: The virtual host. Connections to others are left alone, and so are those of the lab's own tools.

    Yields:
        The fault; its ``count`` is the number of connections closed.

    Raises:
        LookupError: no such connection is open; says which are.
        TimeoutError: the broker does not close one of them.
        Mendable: when no node answers.
    """
    targets = _open_connections(name, vhost)
    fault = Fault(f"connections of {name} closed" if name else "connections closed")
    _close_at_once(targets, vhost)
    for connection in targets:
        _close(connection, vhost)
    fault.count, fault.ended = len(targets), time.monotonic()
    yield fault


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
        which = f"calls itself {name!r}" if name else "is open"
        open_now = f" Open are: {', '.join(given)}." if given else ""
        raise LookupError(f"No connection to the virtual host {vhost!r} {which}.{open_now}") from None
    return found


def _close_at_once(targets: list[str], vhost: str) -> None:
    """Close those of users whose every connection is a target: by user, the broker needs no statistics.

    Only users who may enter no other virtual host, so that a connection opened meanwhile is a target, too.
    """
    for user in [found["user"] for found in broker.api(broker.path("vhosts", vhost, "permissions"))]:
        with suppress(LookupError):  # a user of another run may be gone by now
            theirs = {found["name"] for found in broker.api(broker.path("connections", "username", user))}
            entered = {found["vhost"] for found in broker.api(broker.path("users", user, "permissions"))}
            if theirs and theirs <= set(targets) and entered == {vhost}:
                broker.api(broker.path("connections", "username", user), "DELETE")
                broker.closed_here.update(theirs)


def _close(connection: str, vhost: str) -> None:
    """Close one connection. The API answers 404 until statistics know it; once it accepts, the channels have ended."""

    def accepted() -> bool:
        if connection not in broker.connections(vhost=vhost):
            return True  # closed already, by us or by its client
        try:
            broker.api(broker.path("connections", connection), "DELETE")
        except LookupError:
            return False
        broker.closed_here.add(connection)
        return True

    broker.wait_until(accepted, broker.REPORT, "the management API to know a connection that is to be closed")
