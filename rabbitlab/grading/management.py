"""The management API as the graders use it: patient with nodes that are there, and with errors of its own."""

import json
import time
from http.client import HTTPException

from rabbitlab import management, stalls
from rabbitlab.errors import Mendable
from rabbitlab.management import answering

__all__ = ["Refused", "answering", "call", "vhosts"]


DELETED_WITHIN = 10  # seconds: RabbitMQ waits five for the members of a quorum queue, of which one may not run


class Refused(Exception):
    """The management API answered with an error.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, method: str, path: str, status: int, text: str):
        self.status = status
        super().__init__(f"{method} {path}: {status} {text}")


def call(method: str, *path: str, body: object = None, timeout: float | None = None, patience: float = 30) -> object:
    """Ask the first node that answers; while some are there that do not, ask again.

    Args:
        method: ``GET``, ``PUT``, ``DELETE``, ``POST``.
        path: Parts below ``/api/``; each is quoted, so that a vhost may be called ``/``. A last part may carry a query (``?...``).
        body: Sent as JSON when given.
        timeout: Seconds that each node gets; 5 unless given, and 10 for a ``DELETE``.
        patience: Seconds that nodes which are there get all together: a busy one may take long to make or remove a virtual host.

    Returns:
        What the JSON says; None for an empty answer.

    Raises:
        Refused: the node answered with an error.
        Mendable: no node answers.
    """
    query = path[-1] if path[-1].startswith("?") else ""
    asked = management.path(*(path[:-1] if query else path)) + query
    timeout = timeout or (DELETED_WITHIN if method == "DELETE" else 5)
    began = stalls.clock()
    while True:
        answer, errors = management.asked_in_turn(asked, method, body, timeout)
        if answer:
            status, text, _ = answer
            if status >= 400:
                raise Refused(method, f"/api/{asked}", status, text)
            return json.loads(text) if text else None
        there = [error for error in errors if not isinstance(error, ConnectionRefusedError)]
        if not there or stalls.clock() - began > patience:
            break
        time.sleep(0.2)  # nodes that start, or that change what was asked for at this moment, say 500 or hang up
    raise _unanswered(f"{method} /api/{asked}", patience, there) from errors[-1]


def vhosts() -> dict[str, str]:
    """The description of each virtual host, by name. One that is deleted while the list is made is listed without a name: left out."""
    return {vhost["name"]: vhost.get("description", "") for vhost in call("GET", "vhosts") if "name" in vhost}


def _unanswered(asked: str, patience: float, there: list[OSError | HTTPException]) -> Mendable:
    if not there:
        from rabbitlab.cluster import NOT_RUNNING

        return Mendable(NOT_RUNNING)
    said = " ".join(str(there[-1]).split())[:300]
    told = f"{asked} within {patience:g} s, though some are there; last: {said}."
    return Mendable(f"No node has answered {told} To see what is wrong: ./lab doctor")
