"""The hub: takes every line from the queue ``chat.hub`` and puts a copy into the inbox of everybody who has joined."""

import json

import pika

HUB = "chat.hub"
TRIES = 5  # connections lost in a row, with nothing done in between


def serve(parameters, last=3, idle=1.0):
    """Handle the messages in ``chat.hub``, oldest first, until none has come for *idle* seconds.

    What a message asks for, and what goes into the inboxes, is in the brief. A message that is no such JSON is thrown away. Each other
    is acknowledged when every inbox that must have a copy has confirmed it, and no sooner. When an inbox refuses a line
    (``pika.exceptions.NackError``), let the exception through; the message is then still in ``chat.hub``.

    When the connection is lost, open another and go on, knowing what you knew: who has joined, and the last lines. Then a line may come
    twice; none may be missing. Give up, with pika's exception, at the fifth lost connection in a row without a message between them, and
    at once when the login is refused. Whether to pause between two attempts is yours to decide.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        last: How many lines a newcomer is told of.
        idle: Seconds without a message after which to return; None to go on for ever.

    Returns:
        The number of messages that were handled, nonsense included.
    """
    room = _Room(last)
    handled = failures = 0
    while True:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.queue_declare(queue=HUB, durable=True)
                channel.confirm_delivery()
                for method, _, body in channel.consume(queue=HUB, inactivity_timeout=idle):
                    if method is None:
                        channel.cancel()
                        return handled
                    room.handle(channel, body)
                    # Every inbox has its copy, so the hub's may go. Were this line above handle(), a refusal in there would lose the line.
                    channel.basic_ack(delivery_tag=method.delivery_tag)
                    handled += 1
                    failures = 0
        except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError):
            raise
        except pika.exceptions.AMQPConnectionError:
            raise


class _Room:
    """Who has joined, and the last lines: what the hub must not forget when it loses its connection."""

    def __init__(self, last):
        self.last = last
        self.people = []
        self.lines = []

    def handle(self, channel, body):
        try:
            message = json.loads(body)
            kind, name = message["kind"], message["name"]
            text = message["text"] if kind == "say" else None
        except (ValueError, TypeError, KeyError):
            return
        if kind == "join" and name not in self.people:
            self._join(channel, name)
        elif kind == "say" and name in self.people:
            self._say(channel, name, text)
        elif kind == "leave" and name in self.people:
            self._leave(channel, name)

    # What is remembered is changed last: if the connection is lost on the way, the message comes again, and everything is done again.

    def _join(self, channel, name):
        for line in self.lines:
            _put(channel, name, line)
        self._tell([*self.people, name], channel, {"name": "hub", "text": f"{name} joined"})
        self.people.append(name)

    def _say(self, channel, name, text):
        line = {"name": name, "text": text}
        self._tell(self.people, channel, line)
        self.lines = [*self.lines, line][-self.last :] if self.last else []

    def _leave(self, channel, name):
        others = [person for person in self.people if person != name]
        self._tell(others, channel, {"name": "hub", "text": f"{name} left"})
        self.people = others

    def _tell(self, people, channel, line):
        for person in people:
            _put(channel, person, line)


def _put(channel, name, line):
    channel.basic_publish(exchange="", routing_key=f"chat.inbox.{name}", body=json.dumps(line))
