"""A desk orders invoices to be printed."""

import json
import uuid

import pika

PRIORITIES = {"now": 9, "today": 5, "whenever": 1}  # by the invoice's urgency


def order(parameters, invoices):
    ordered = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for invoice in invoices:
            properties = pika.BasicProperties(
                message_id=str(uuid.uuid4()), priority=PRIORITIES[invoice["urgency"]], delivery_mode=pika.DeliveryMode.Persistent
            )
            channel.basic_publish(exchange="", routing_key="invoices", body=json.dumps(invoice), properties=properties, mandatory=True)
            ordered += 1
    return ordered
