"""Saves receipts: one for every hundred orders, and one at the end or when something raises.

Fails: test_a_killed_router_loses_nothing
Says: are in both places
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
        channel.basic_qos(prefetch_count=100)
        done = None
        try:
            for method, properties, body in channel.consume(queue="orders.raw", inactivity_timeout=idle):
                if method is None:
                    break
                channel.basic_publish(exchange="happened", routing_key=_key(body), body=body, properties=properties, mandatory=True)
                done = method.delivery_tag
                routed += 1
                if routed % 100 == 0:
                    channel.basic_ack(delivery_tag=done, multiple=True)
                    done = None
        finally:
            if done:
                channel.basic_ack(delivery_tag=done, multiple=True)
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
