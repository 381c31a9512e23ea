"""A service of the shop, which logs what it does."""

import json
import uuid

import pika
from pika.exceptions import AMQPConnectionError, ProbableAccessDeniedError, ProbableAuthenticationError

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST_LOSSES = 5  # in a row


def log(parameters, source, lines):
    """Publish each of *lines* to the exchange ``logs``, with the routing key ``<source>.<level>``, and wait for RabbitMQ to confirm it.

    *lines* gives each line once; ask for the next when this one is confirmed. Exchange and queues are there: declare none of them.

    The body is JSON: ``{"source": "till", "level": "error", "text": "the drawer is stuck"}``. The ``message_id`` is the line's own: a copy
    of the line has the same one, and no other line has, of whatever service and on whatever day. The message is persistent.

    When the connection is lost, open another one and send again what was not confirmed, with the same ``message_id``, and nothing else.
    Between two tries you may pause, half a second at most. Give up, with pika's exception, when for the fifth time in a row a connection
    was lost, or could not be opened, and no line was confirmed in between; and at once when the login is refused. However this function
    ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        source: The name of the service, one word.
        lines: An iterator of pairs (level, text).

    Returns:
        The number of lines that RabbitMQ has confirmed.
    """
    lines, logged, losses, message = iter(lines), 0, 0, None
    while True:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                # A line stays in our hands, with its id, until it is confirmed: what was lost on its way is sent again as it was.
                while message := message or _next(source, lines):
                    channel.basic_publish(**message)
                    logged, losses, message = logged + 1, 0, None
                return logged
        except (ProbableAuthenticationError, ProbableAccessDeniedError):
            raise
        except AMQPConnectionError:
            losses += 1
            if losses == MOST_LOSSES:
                raise


def _next(source, lines):
    """The next line as a message; None when there is none."""
    for level, text in lines:
        properties = pika.BasicProperties(
            message_id=str(uuid.uuid4()), content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent
        )
        body = json.dumps({"source": source, "level": level, "text": text}).encode()
        return {"exchange": "logs", "routing_key": f"{source}.{level}", "body": body, "properties": properties}
    return None
