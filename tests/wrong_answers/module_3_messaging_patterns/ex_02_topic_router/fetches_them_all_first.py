"""Takes all orders out of the queue, and routes them then.

Fails: test_a_killed_router_loses_nothing
Says: are in no queue
"""

import json

import pika

COUNTRIES = ("de", "fr", "it")
EVENTS = ("placed", "paid", "shipped", "cancelled")


def route_orders(parameters, idle=0.5):
    routed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        orders = []
        for method, properties, body in channel.consume(queue="orders.raw", inactivity_timeout=idle):
            if method is None:
                break
            orders.append((properties, body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
        for place, (properties, body) in enumerate(orders):
            try:
                channel.basic_publish(exchange="happened", routing_key=_key(body), body=body, properties=properties, mandatory=True)
                routed += 1
            except pika.exceptions.AMQPError:
                for properties, body in orders[place:]:
                    channel.basic_publish(exchange="", routing_key="orders.raw", body=body, properties=properties)
                raise
    return routed


def _key(body):
    try:
        order = json.loads(body)
    except ValueError:
        order = None
    if not isinstance(order, dict):
        order = {}
    return f"order.{_word(order.get('country'), COUNTRIES)}.{_word(order.get('event'), EVENTS)}"


def _word(given, known):
    word = given.strip().lower() if isinstance(given, str) else None
    return word if word in known else "other"
