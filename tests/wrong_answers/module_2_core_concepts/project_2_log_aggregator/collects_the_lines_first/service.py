"""A service of the shop, which logs what it does."""

import json
import uuid

import pika
from pika.exceptions import AMQPConnectionError, ProbableAccessDeniedError, ProbableAuthenticationError

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST_LOSSES = 5  # in a row


def log(parameters, source, lines):
    lines, logged, losses, message = iter(list(lines)), 0, 0, None
    while True:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
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
    for level, text in lines:
        properties = pika.BasicProperties(
            message_id=str(uuid.uuid4()), content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent
        )
        body = json.dumps({"source": source, "level": level, "text": text}).encode()
        return {"exchange": "logs", "routing_key": f"{source}.{level}", "body": body, "properties": properties}
    return None
