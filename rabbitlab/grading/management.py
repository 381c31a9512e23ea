"""The management API as the graders use it: the first node that answers, JSON in and out.

http.client and not httpx, whose import alone would cost a third of the three seconds that a check may take.
A connection is opened for each call, so that forked processes share none.
"""

import base64
import http.client
import json
import time
from urllib.parse import quote

from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN, HOST, NODES, Node

_TOKEN = base64.b64encode(":".join(ADMIN).encode()).decode()
_order = list(NODES)  # the node that answered last comes first


class Refused(Exception):
    """The management API answered with an error.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, method: str, path: str, status: int, text: str):
        self.status = status
        super().__init__(f"{method} {path}: {status} {text}")


def call(method: str, *path: str, body: object = None, timeout: float = 5) -> object:
    """Ask the first node that answers.

    Args:
        method: ``GET``, ``PUT``, ``DELETE``, ``POST``.
        path: Parts below ``/api/``; each is quoted, so that a vhost may be called ``/``. A last part may carry a query (``?...``).
        body: Sent as JSON when given.
        timeout: Seconds that each node gets.

    Returns:
        What the JSON says; None for an empty answer.

    Raises:
        Refused: the node answered with an error.
        Mendable: no node answers.
    """
    began = time.monotonic()
    while True:
        errors = []
        for node in list(_order):
            try:
                answer = _ask(node, method, _url(path), body, timeout)
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)
                continue
            _order.remove(node)
            _order.insert(0, node)
            return answer
        there = [error for error in errors if not isinstance(error, ConnectionRefusedError)]
        if not there or time.monotonic() - began > timeout:
            break
        time.sleep(0.2)  # nodes that start, or that change what was asked for at this moment, say 500 or hang up
    if not there:
        from rabbitlab.cluster import NOT_RUNNING

        raise Mendable(NOT_RUNNING) from errors[-1]
    said = " ".join(str(there[-1]).split())[:300]
    told = f"within {timeout:.0f} s" if isinstance(there[-1], TimeoutError) else f"{method} {_url(path)} but by: {said}"
    raise Mendable(f"No node has answered {told}, though some are there. To see what is wrong: ./lab doctor") from there[-1]


def vhosts() -> dict[str, str]:
    """The description of each virtual host, by name. One that is deleted while the list is made is listed without a name: left out."""
    return {vhost["name"]: vhost.get("description", "") for vhost in call("GET", "vhosts") if "name" in vhost}


def answering() -> Node:
    """The node that answered the last call."""
    return _order[0]


def _url(path: tuple[str, ...]) -> str:
    parts = [part if part.startswith("?") else "/" + quote(part, safe="") for part in path]
    return "/api" + "".join(parts)


def _ask(node: Node, method: str, url: str, body: object, timeout: float) -> object:
    connection = http.client.HTTPConnection(HOST, node.management, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, url, data, {"Authorization": f"Basic {_TOKEN}", "Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status >= 500:  # a node that starts or stops says so with 500 or 503: another may do better
        raise http.client.HTTPException(f"{response.status} {text}")
    if response.status >= 400:
        raise Refused(method, url, response.status, text)
    return json.loads(text) if text else None
