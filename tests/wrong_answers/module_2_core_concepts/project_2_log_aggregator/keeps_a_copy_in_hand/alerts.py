"""Somebody is told of each error."""

import json

import pika


def watch(parameters, notify, idle=1.0):
    told = set()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, properties, body in channel.consume(queue="logs.alerts", inactivity_timeout=idle):
            if method is None:
                break
            if properties.message_id not in told:
                notify(json.loads(body))
                told.add(properties.message_id)
                channel.basic_ack(delivery_tag=method.delivery_tag)
    return len(told)
