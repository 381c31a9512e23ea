"""A person: sends to the hub, and reads from an inbox of their own, ``chat.inbox.<name>``."""

import json

import pika


def join(parameters, name):
    """Make the inbox of *name*, durable, and tell the hub that *name* has come. Returns when RabbitMQ has confirmed it.

    The inbox is there before the hub hears of it: what the hub puts into a queue that is not there is gone. It may be there already, with
    lines in it; they stay.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who joins.
    """
    with pika.BlockingConnection(parameters) as connection:
        connection.channel().queue_declare(queue=f"chat.inbox.{name}", durable=True)
    _tell(parameters, {"kind": "join", "name": name})


def say(parameters, name, text):
    """Send *text* to the hub, which need not be there. Returns when RabbitMQ has confirmed it.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who speaks.
        text: What they say.
    """
    _tell(parameters, {"kind": "say", "name": name, "text": text})


def leave(parameters, name):
    """Tell the hub that *name* goes. The inbox stays, with what is in it. Returns when RabbitMQ has confirmed it.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who leaves.
    """
    _tell(parameters, {"kind": "leave", "name": name})


def read(parameters, name):
    """Take everything that is in the inbox of *name*, and do not wait for more.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Whose inbox.

    Returns:
        A list of pairs (who, text), oldest first.
    """
    lines = []
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        while True:
            method, _, body = channel.basic_get(queue=f"chat.inbox.{name}")
            if method is None:
                return lines
            line = json.loads(body)
            lines.append((line["name"], line["text"]))
            channel.basic_ack(delivery_tag=method.delivery_tag)


def _tell(parameters, message):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        # Either may be the first to start, the hub or a person, so both ask for the queue.
        channel.confirm_delivery()
        channel.basic_publish(exchange="", routing_key="chat.hub", body=json.dumps(message))
