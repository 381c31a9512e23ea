"""The broker as one attempt sees it: a vhost and a user of its own, and what the grader asks and does there."""

import json
import re
import time
from collections.abc import Callable
from contextlib import contextmanager

from rabbitlab import broker, stalls
from rabbitlab.grading import management
from rabbitlab.grading.room import Room
from rabbitlab.grading.verdict import Late, Verdict
from rabbitlab.nodes import ADMIN, NODES

FRESH = 1.5  # seconds until a quorum queue has surely told its counts anew: docker/rabbitmq/advanced.config makes it do so every second
SOMEBODY_ELSES = "audit"  # a queue, and the key that it is bound with
CLOSED = 0.3  # seconds that a client which reads needs to learn that its connection is closed


class Attempt:
    """The vhost and user of this run. The grader's own connections are another user's and count nowhere.

    Attributes:
        vhost: ``attempt-<random>``.
        user: The same name.
        password: The user's.
    """

    def __init__(self, room: Room):
        self._room = room
        self.vhost = self.user = room.name
        self.password = room.password
        self._running = []  # background runs of the answer, which wait_until keeps an eye on

    def parameters(self, **overrides):
        """``pika.ConnectionParameters`` of this vhost and user on localhost.

        Args:
            overrides: Any other parameter, or another value: ``heartbeat=2``, ``port=5673``.
        """
        import pika

        chosen = {"host": "localhost", "port": management.answering().amqp, "virtual_host": self.vhost}
        chosen["credentials"] = pika.PlainCredentials(self.user, self.password)
        return pika.ConnectionParameters(**{**chosen, **overrides})

    def everywhere(self, **overrides) -> list:
        """The same for each of the three nodes, in their order: what a client needs that may lose the node it talks to.

        Args:
            overrides: As for :meth:`parameters`, the same for all three.
        """
        return [self.parameters(**{"port": node.amqp, **overrides}) for node in NODES]

    def declare(self, queue: str, **kwargs) -> None:
        """Declare *queue*, durable unless said otherwise; *kwargs* go to ``queue_declare``."""
        with self._channel() as channel:
            channel.queue_declare(queue=queue, **{"durable": True, **kwargs})

    def publish(self, queue: str, *bodies) -> None:
        """Put each body into *queue*, in order; returns when RabbitMQ has them.

        Args:
            bodies: bytes, str, or anything that JSON can say.
        """
        with self._channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(exchange="", routing_key=queue, body=_encoded(body), mandatory=True)

    def take(self, queue: str) -> list[tuple]:
        """Take everything that is ready: a list of (body as bytes, properties), acknowledged."""
        taken = []
        with self._channel(queue) as channel:
            while True:
                method, properties, body = channel.basic_get(queue=queue)
                if method is None:
                    return taken
                channel.basic_ack(delivery_tag=method.delivery_tag)
                taken.append((body, properties))

    def depth(self, queue: str) -> int:
        """Messages ready in *queue* at this moment. A queue that is not there is a verdict of its own; ask ``exists`` first.

        A quorum queue without a leader, which would be said to hold none, has ten seconds to get one.
        """
        with self._channel(queue) as channel:
            ready = channel.queue_declare(queue=queue, passive=True).method.message_count
            if ready or self.queue(queue)["type"] != "quorum":
                return ready
            broker.wait_until(lambda: broker.is_led(queue, vhost=self.vhost), what=f"the quorum queue {queue} to have a leader")
            return channel.queue_declare(queue=queue, passive=True).method.message_count

    def unacked(self, queue: str) -> int:
        """Messages of *queue* that were delivered and not acknowledged; waits where the number would be old."""
        started = stalls.clock()
        while True:
            late = stalls.clock() - started > FRESH  # by the time of the question: the answer is as old as that
            seen = self.queue(queue)
            fresh = seen["type"] == "classic" or (late and seen["messages_ready"] == self.depth(queue))
            if fresh or stalls.clock() - started > 10:
                return seen["messages_unacknowledged"]
            time.sleep(0.05)

    def exists(self, queue: str) -> bool:
        """True when there is a queue of this name."""
        return any(q["name"] == queue for q in self.queues())

    def queue(self, queue: str) -> dict:
        """The management API's view of *queue*: durable, arguments, type, leader, messages_ready (exact for a classic queue).

        A queue that is not there is a verdict of its own; ask ``exists`` first.
        """
        for found in self.queues():
            if found["name"] == queue:
                return found
        raise _no_queue(queue, [q["name"] for q in self.queues()])

    def queues(self) -> list[dict]:
        """All queues, by name, with the counts that the queues themselves give."""
        # With the statistics switched off, the totals of classic queues are asked of the queues, and exact.
        found = management.call("GET", "queues", self.vhost, "?disable_stats=true&enable_queue_totals=true")
        return sorted(found, key=lambda q: q["name"])

    def exchanges(self) -> dict[str, dict]:
        """The management API's view of each exchange that somebody declared, by name."""
        found = management.call("GET", "exchanges", self.vhost, "?disable_stats=true")
        return {e["name"]: e for e in found if e["name"] and not e["name"].startswith("amq.")}

    def let_somebody_else_bind(self, *exchanges: str) -> Callable[[], list[str]]:
        """Bind a queue that is none of the answer's to each of these exchanges, with a key of its own.

        Returns:
            To be called later: the exchanges that the queue is bound to no longer. Who deletes an exchange takes the binding with it.
        """
        self.declare(SOMEBODY_ELSES)
        with self._channel() as channel:
            for exchange in exchanges:
                channel.queue_bind(SOMEBODY_ELSES, exchange, SOMEBODY_ELSES, {"x-match": "all", SOMEBODY_ELSES: "yes"})

        def gone() -> list[str]:
            bound = {b["source"] for b in management.call("GET", "bindings", self.vhost) if b["destination"] == SOMEBODY_ELSES}
            return [exchange for exchange in exchanges if exchange not in bound]

        return gone

    def connections(self) -> int:
        """Connections that this user has open right now."""
        return len(self._open())

    def close_connections(self, at_least: int = 0) -> int:
        """Close all connections of this user from the broker's side; returns how many.

        When the call returns they are closed: RabbitMQ takes nothing more from them. One whose client does not read (it sleeps, or it is
        the client that asked) is counted by ``connections`` until the client has read that it is closed.

        Args:
            at_least: Wait some seconds until there are so many. RabbitMQ lets a client in, and a moment later knows its connection as one
                of this user's: one that was opened just now would stay open.
        """
        if at_least:
            self._poll(lambda: len(self._open()) >= at_least, within=5)
        names = self._open()
        if names:
            management.call("DELETE", "connections", "username", self.user)
            self._poll(lambda: not names & self._open(), within=CLOSED)
        return len(names)

    def left_open(self, within: float = 1) -> int:
        """Connections that this user still has open, once those that are closing at this moment had time to close.

        Ask it inside ``answer.run``: the end of the process closes everything.
        """
        self._poll(lambda: not self._open(), within)
        return len(self._open())

    def policy(self, queue: str, **definition) -> None:
        """Lay a policy on a queue that is there, and wait until it holds; it is gone after the check.

        Args:
            queue: Its name.
            definition: ``max_length=2, overflow="reject-publish"``: the policy's keys, with underscores.
        """
        keys = {key.replace("_", "-"): value for key, value in definition.items()}
        body = {"pattern": f"^{re.escape(queue)}$", "definition": keys, "apply-to": "queues"}
        management.call("PUT", "policies", self.vhost, queue, body=body)
        self._poll(lambda: self.queue(queue).get("policy") == queue, within=10)

    def wait_until(self, condition: Callable[[], bool], within: float = 10, what: str = "") -> None:
        """Wait until *condition* holds. A background run that fails meanwhile gives its own verdict at once.

        Args:
            condition: Asked every 20 ms, and once more when time is up.
            within: Seconds, without those in which this machine stood still.
            what: Completes "We waited for ...".

        Raises:
            Late: it did not come true (a TimeoutError, and a verdict with what the broker showed).
        """
        if not self._poll(condition, within):
            raise Late(
                saw=f"We waited {within:g} s for {what or 'your program'}; {self.state()}.",
                rule="A message moves when someone publishes, consumes or acknowledges it; nothing else moves it.",
                look="What your program waits for at that moment: print it",
            )

    def comes_true(self, condition: Callable[[], bool], within: float) -> bool:
        """As :meth:`wait_until`, and says whether it came true in place of raising. Asks the broker nothing by itself."""
        return self._poll(condition, within)

    def state(self) -> str:
        """The queues and connections in words: "the queue `orders` holds 3 messages, 2 of them unacknowledged"."""
        queues = [_in_words(q) for q in self.queues()]
        connections = self.connections()
        told = queues[:3] or ["there is no queue"]
        more = len(queues) - 3
        told += [f"there {'is 1 more queue' if more == 1 else f'are {more} more queues'}"] if more > 0 else []
        told += [f"{connections} {'connection is' if connections == 1 else 'connections are'} open"] if connections else []
        return "; ".join(told)

    def wipe(self) -> None:
        """Close every connection of the user and remove every queue and exchange, so that each check starts alike."""
        for running in list(self._running):
            running.kill()
        self.close_connections()
        queues = [queue["name"] for queue in self.queues()]
        for queue in queues:
            _delete("queues", self.vhost, queue)
        broker.until_gone(*queues, vhost=self.vhost)
        for policy in management.call("GET", "policies", self.vhost):
            _delete("policies", self.vhost, policy["name"])
        for exchange in self.exchanges():
            _delete("exchanges", self.vhost, exchange)

    def settle(self) -> None:
        """Wait until the broker has noticed that the answer's process is gone: no connection, nothing unacknowledged."""
        if not self._running:
            # Where a grader keeps a connection of this user's open, as the till of 2.3 does, all of that time is waited.
            self._poll(lambda: not self._open() and not any(_holds_back(q) for q in self.queues()), within=3)

    def _open(self) -> set[str]:
        # The tracked connections are of this moment; the list with statistics lags by a second.
        return {c["name"] for c in management.call("GET", "connections", "username", self.user)}

    def _poll(self, condition: Callable[[], bool], within: float) -> bool:
        end = stalls.clock() + within
        while True:
            up = stalls.clock() > end  # before the look, which may take long: the last one is a fair one
            for running in list(self._running):
                running.look()
            if condition():
                return True
            if up:
                return False
            time.sleep(0.02)

    @contextmanager
    def _channel(self, queue: str = ""):
        """A channel of the lab's administrator, for the moment. What is asked of *queue* may find it missing or locked: verdicts."""
        import pika
        from pika.exceptions import ChannelClosedByBroker

        parameters = self.parameters(credentials=pika.PlainCredentials(*ADMIN), heartbeat=0)
        with pika.BlockingConnection(parameters) as connection:
            try:
                yield connection.channel()
            except ChannelClosedByBroker as error:
                if error.reply_code == 404 and queue:
                    raise _no_queue(queue, [q["name"] for q in self.queues()]) from None
                if error.reply_code == 405 and queue:
                    raise _locked(queue) from None
                raise


def _no_queue(queue: str, others: list[str]) -> Verdict:
    if not others:
        return Verdict(
            "failed",
            saw=f"There is no queue `{queue}`, nor any: nothing of yours is in the virtual host that `parameters` names.",
            rule="A queue is in the virtual host that its connection was opened to, and there until it is deleted, or until the connection "
            "it was exclusive to is closed.",
            look="The `parameters` that your function was given; the name and the arguments in your queue_declare, if you have one",
        )
    return Verdict(
        "failed",
        saw=f"There is no queue `{queue}`; the queues here are {_listed(others)}.",
        rule="A queue is there from its declaration until it is deleted, or until the connection it was exclusive to is closed.",
        look="The name and the arguments in your queue_declare",
    )


def _locked(queue: str) -> Verdict:
    return Verdict(
        "failed",
        saw=f"RabbitMQ let nobody else look into the queue `{queue}`: it is exclusive to your connection.",
        rule="An exclusive queue serves the connection that declared it, and is deleted with it.",
        look="The arguments in your queue_declare",
    )


def _delete(kind: str, vhost: str, name: str) -> None:
    try:
        management.call("DELETE", kind, vhost, name)
    except management.Refused as refused:
        if refused.status != 404:
            raise


def _encoded(body) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _holds_back(queue: dict) -> bool:
    """Whether some messages are unacknowledged; of a quorum queue, whose counts are seconds old, nothing is asked."""
    return queue["type"] == "classic" and queue.get("messages_unacknowledged", 0) > 0


def _in_words(queue: dict) -> str:
    total, unacked = queue.get("messages", 0), queue.get("messages_unacknowledged", 0)
    held = f"the queue `{queue['name']}` holds {_count(total, 'message')}"
    return held + (f", {unacked} unacknowledged" if unacked else "")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
