"""A printer prints invoices, tries again what has jammed, and says what became of each."""

import json
from collections import Counter

import pika

MOST_ATTEMPTS = 3


class Jam(Exception):
    """What ``print_invoice`` raises when the paper jams; its text says where."""


def work(parameters, print_invoice, idle=1.0):
    finished, attempts = set(), Counter()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        for method, properties, body in channel.consume(queue="invoices", inactivity_timeout=idle):
            if method is None:
                break
            if properties.message_id not in finished and _deal(channel, properties, body, print_invoice, attempts):
                finished.add(properties.message_id)
            channel.basic_ack(delivery_tag=method.delivery_tag)
    return len(finished)


def _deal(channel, properties, body, print_invoice, attempts):
    attempts[properties.message_id] += 1
    attempt = attempts[properties.message_id]
    invoice = {"message_id": properties.message_id, "priority": properties.priority}
    try:
        print_invoice(json.loads(body))
    except Jam as jam:
        if attempt < MOST_ATTEMPTS:
            _put(channel, "invoices", body, headers={"attempt": attempt + 1}, **invoice)
            return False
        _put(channel, "invoices.failed", body, headers={"attempt": attempt, "reason": str(jam)}, **invoice)
        outcome = "failed"
    else:
        outcome = "printed"
    result = {"id": properties.message_id, "outcome": outcome, "attempts": attempt}
    _put(channel, "invoices.results", json.dumps(result), message_id=properties.message_id)
    return True


def _put(channel, queue, body, **properties):
    label = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, **properties)
    channel.basic_publish(exchange="", routing_key=queue, body=body, properties=label, mandatory=True)
