"""Deletes each exchange before it declares it, as lessons do.

Fails: test_the_next_morning_changes_nothing
Says: afterwards it was no longer bound to `jobs`, `notices`, `orders`, `parcels`
"""

import pika

DESKS = ("packing", "returns", "gifts")
PATTERNS = {"orders.europe": "europe.#", "orders.placed": "*.*.placed", "orders.gifts": "#.gift"}
HEADERS = {
    "parcels.air": {"x-match": "all", "express": "yes", "size": "small"},
    "parcels.fragile": {"x-match": "any", "glass": "yes", "antique": "yes"},
}


def set_up(parameters):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for exchange, kind in {"jobs": "direct", "notices": "fanout", "orders": "topic", "parcels": "headers"}.items():
            channel.exchange_delete(exchange=exchange)
            channel.exchange_declare(exchange=exchange, exchange_type=kind, durable=True)
        for queue in (*(f"desk.{desk}" for desk in DESKS), *PATTERNS, *HEADERS):
            channel.queue_declare(queue=queue, durable=True)
        for desk in DESKS:
            channel.queue_bind(queue=f"desk.{desk}", exchange="jobs", routing_key=desk)
            channel.queue_bind(queue=f"desk.{desk}", exchange="notices")
        for queue, pattern in PATTERNS.items():
            channel.queue_bind(queue=queue, exchange="orders", routing_key=pattern)
        for queue, headers in HEADERS.items():
            channel.queue_bind(queue=queue, exchange="parcels", routing_key="", arguments=headers)
