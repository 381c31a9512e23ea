"""Waits twice as long as the lesson did, whatever it is told.

Fails: test_a_failing_payment_is_tried_again_and_then_parked
Says: Between tries 1 and 2 passed 2.
"""

import json

import pika

QUORUM = {"x-queue-type": "quorum"}


class Unavailable(Exception):
    pass


class Declined(Exception):
    pass


def handle_payments(parameters, charge, delays=(1, 2, 4)):
    with pika.BlockingConnection(parameters) as connection:
        delays = (2, 4, 8)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        declare(channel, delays)
        for method, properties, body in channel.consume(queue="payments"):
            headers = properties.headers or {}
            attempt = headers.get("attempt", 0)
            try:
                charge(json.loads(body))
            except Unavailable as error:
                if attempt < len(delays):
                    move(channel, waiting(delays[attempt]), properties, body, attempt=attempt + 1)
                else:
                    move(channel, "payments.dead", properties, body, reason=str(error))
            except (Declined, json.JSONDecodeError) as error:
                move(channel, "payments.dead", properties, body, reason=str(error))
            channel.basic_ack(delivery_tag=method.delivery_tag)


def move(channel, queue, properties, body, **more):
    properties.headers = {**(properties.headers or {}), **more}
    channel.basic_publish(exchange="", routing_key=queue, body=body, properties=properties, mandatory=True)


def declare(channel, delays):
    channel.queue_declare(queue="payments.dead", durable=True, arguments=QUORUM)
    for seconds in delays:
        back = {"x-message-ttl": int(seconds * 1000), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "payments"}
        channel.queue_declare(queue=waiting(seconds), durable=True, arguments={**QUORUM, **back})


def waiting(seconds):
    return f"payments.retry.{seconds}s"
