"""Call the management API, on the first node that answers, and read metrics.

http.client, because importing httpx takes five times as long, and every command and notebook would wait for it.
"""

import http.client
import os
import re
import threading
import time
from base64 import b64encode
from json import dumps, loads
from typing import Any
from urllib.parse import quote, urlencode

from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN, HOST, NODES, Node

PATIENCE = (0.8, 8.0)  # seconds for an answer: little at first, so that a silent node costs little; then more
MOMENT = 2  # seconds


def path(*parts: str) -> str:
    """A path of the management API with each part quoted: ``path("queues", "/", "orders")`` is ``"queues/%2F/orders"``."""
    return "/".join(quote(part, safe="") for part in parts)


def api(path: str, method: str = "GET", json: object = None) -> Any:
    """Call the management API on the first node that answers.

    Args:
        path: Below ``/api/``, quoted, with its query if any; see :func:`path`.
        method: ``GET`` by default.
        json: What to send as the body.

    Returns:
        The answer's JSON, or None where the answer has no body.

    Raises:
        LookupError: the API says 404.
        ValueError: the API refuses for another reason, and says which.
        Mendable: no node answers.
    """
    return call(path, method, json)[0]


def call(path: str, method: str = "GET", json: object = None) -> tuple[Any, Node]:
    """As :func:`api`; returns the node that answered, too."""
    status, text, node = _first_answer(path, method, json)
    if status == 404:
        raise LookupError(f"The management API knows no {path.partition('?')[0]}.")
    if status == 401:
        raise Mendable(f"Another RabbitMQ than the course's answers on port {node.management}. To see which, run ./lab doctor")
    if status >= 400:
        raise ValueError(f"{method} {path}: {status} {text.strip()}")
    return (loads(text) if text else None), node


def ask(node: Node, path: str, within: float = PATIENCE[-1]) -> Any:
    """Ask this very node, as :func:`api` asks any.

    Raises:
        ValueError: it answers with something else than 200, and says what.
        OSError: it does not answer within *within* seconds.
    """
    status, told = answer_of(node, path, within)
    if status != 200:
        raise ValueError(f"{node.name}: GET {path}: {status} {told}")
    return told


def answer_of(node: Node, path: str, within: float = PATIENCE[-1], *, login: tuple[str, str] = ADMIN) -> tuple[int, Any]:
    """The status of this very node's answer, and its JSON (or text that is none).

    Args:
        node: The node.
        path: Below ``/api/``, quoted.
        within: Seconds to wait.
        login: User and password.

    Raises:
        OSError: it does not answer.
    """
    try:
        status, text = _exchange(node.management, "GET", f"/api/{path}", within, login=login)
    except http.client.HTTPException as error:
        raise OSError(f"{node.name} breaks off its answer") from error
    try:
        return status, loads(text) if text else None
    except ValueError:
        return status, text


def _first_answer(path: str, method: str, json: object) -> tuple[int, str, Node]:
    """The answer of the first node that has one; a question to which all say 500 is asked again for a moment, then that is the answer.

    What is being deleted at this moment is no more looked up, and not yet unknown.
    """
    until = time.monotonic() + MOMENT
    while True:
        answer = _one_round(path, method, json)
        if answer[0] != 500 or method != "GET" or time.monotonic() > until:
            return answer
        time.sleep(0.1)


def _one_round(path: str, method: str, json: object) -> tuple[int, str, Node]:
    """Ask the nodes in turn; where each that answers is unwell, the last of these answers is the one."""
    for patience in PATIENCE if method == "GET" else PATIENCE[-1:]:  # what changes something is not given up early
        # A POST may have been done where no answer came, and a second one would do it twice.
        answer, errors = asked_in_turn(path, method, json, patience, once=method == "POST")
        if answer:
            return answer
        if unwell := [error for error in errors if isinstance(error, Unwell)]:
            return unwell[-1].answer
    ports = ", ".join(str(node.management) for node in NODES)
    raise Mendable(f"No node of the cluster answers on {HOST}, ports {ports}. Start it with: ./lab up")


class Unwell(http.client.HTTPException):
    """A node that starts, stops or is in trouble says so with 500 or 503: another may do better.

    Attributes:
        answer: Its status, its text and the node.
    """

    def __init__(self, status: int, text: str, node: Node):
        self.answer = status, text, node
        super().__init__(f"{status} {text}")


def asked_in_turn(
    path: str, method: str, json: object, patience: float, *, once: bool = False
) -> tuple[tuple[int, str, Node] | None, list[Exception]]:
    """Ask each node until one answers with less than 500, first the one that answered last.

    A node may learn some 10 ms late of what was declared or deleted on another, so a 404 to a ``GET`` is asked again until those that
    answer agree, or for a moment.

    Args:
        path: Below ``/api/``, quoted.
        method: ``GET``, ``PUT``, ...
        json: What to send as the body, or None.
        patience: Seconds that each node gets.
        once: Ask no other node where one may have heard.

    Returns:
        The status, the text and the node, or None; and what became of the others: :class:`Unwell`, or that nothing came.

    Raises:
        OSError, http.client.HTTPException: no answer came, with *once*.
    """
    global _answered
    errors: list[Exception] = []
    for node in sorted(NODES, key=lambda node: node is not _answered):
        try:
            status, text = _exchange(node.management, method, f"/api/{path}", patience, json)
            if status == 404 and method == "GET":
                status, text = _agreed(path, node, text)
        except (OSError, http.client.HTTPException) as error:
            if once and not isinstance(error, ConnectionRefusedError):
                raise
            errors.append(error)
            continue
        if status < 500:
            _answered = node
            return (status, text, node), errors
        errors.append(Unwell(status, text, node))
    return None, errors


def _agreed(path: str, node: Node, text: str) -> tuple[int, str]:
    """What *node* says of *path* once all that answer agree, where it has said 404 with this text; after a moment, that."""
    status, until = 404, time.monotonic() + MOMENT
    while status == 404 and any(knows(other, path) for other in NODES if other is not node) and time.monotonic() < until:
        time.sleep(0.02)
        status, text = _exchange(node.management, "GET", f"/api/{path}", PATIENCE[0])
    return status, text


def knows(node: Node, path: str) -> bool:
    """Whether this very node has something at *path*; a silent one has not."""
    try:
        return answer_of(node, path, PATIENCE[0])[0] == 200
    except OSError:
        return False


def answering() -> Node:
    """The node that answered last."""
    return _answered


_answered: Node = NODES[0]


class _Kept(threading.local):
    """Connections kept open, by process and port: threads share none, and a forked process does not write into its parent's."""

    def __init__(self):
        self.open: dict[tuple[int, int], http.client.HTTPConnection] = {}


_kept = _Kept()


def _exchange(port: int, method: str, target: str, patience: float, body: object = None, login: tuple[str, str] = ADMIN) -> tuple[int, str]:
    """One request and its answer, within *patience* seconds, on the connection that is open or on a new one."""
    connection = _kept.open.pop((os.getpid(), port), None)
    if connection:
        try:
            return _ask(connection, port, method, target, patience, body, login)
        except (ConnectionError, http.client.BadStatusLine):
            pass  # the node has closed it since; it has not read this request
    return _ask(http.client.HTTPConnection(HOST, port), port, method, target, patience, body, login)


def _ask(
    connection: http.client.HTTPConnection, port: int, method: str, target: str, patience: float, body: object, login: tuple[str, str]
) -> tuple[int, str]:
    """Send and read; keep the connection if all went well, close it if not."""
    connection.timeout = patience
    if connection.sock:
        connection.sock.settimeout(patience)
    headers = {"Authorization": "Basic " + b64encode(":".join(login).encode()).decode(), "Content-Type": "application/json"}
    try:
        connection.request(method, target, None if body is None else dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except BaseException:
        connection.close()
        raise
    if not answer.will_close:
        _kept.open[os.getpid(), port] = connection
    return answer.status, text


_METRIC = re.compile(r'^rabbitmq_detailed_(\w+)\{.*?queue="((?:[^"\\]|\\.)*)".*\} (\d+)(?:\.0)?$', re.MULTILINE)


def metrics(node: Node, family: str, vhost: str, within: float = PATIENCE[-1]) -> dict[str, dict[str, int]]:
    """What the queues of *vhost* that live on *node* reported last: queue to metric to figure; empty while the node is silent.

    Args:
        node: Its Prometheus endpoint is asked, which has no statistics of its own to wait for.
        family: ``queue_coarse_metrics``, ``queue_consumer_count``; or ``ra_metrics``, of the members that *node* runs.
        vhost: The virtual host.
        within: Seconds to wait.
    """
    target = f"/metrics/detailed?{urlencode({'family': family, 'vhost': vhost})}"
    try:
        _, text = _exchange(node.metrics, "GET", target, within)
    except (OSError, http.client.HTTPException):
        return {}
    found: dict[str, dict[str, int]] = {}
    for name, queue, figure in _METRIC.findall(text):
        found.setdefault(_unescaped(queue), {})[name] = int(figure)
    return found


def _unescaped(label: str) -> str:
    return re.sub(r"\\(.)", lambda hit: "\n" if hit[1] == "n" else hit[1], label)
