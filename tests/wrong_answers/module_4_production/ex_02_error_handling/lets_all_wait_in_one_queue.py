"""Gives each payment a lifetime of its own, in one waiting queue.

Fails: test_the_others_flow_past_while_one_waits
Says: Payment 2 came meanwhile, failed once, and had to wait 1 s
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
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        declare(channel)
        for method, properties, body in channel.consume(queue="payments"):
            headers = properties.headers or {}
            attempt = headers.get("attempt", 0)
            try:
                charge(json.loads(body))
            except Unavailable as error:
                if attempt < len(delays):
                    properties.expiration = str(int(delays[attempt] * 1000))
                    move(channel, "payments.retry", properties, body, attempt=attempt + 1)
                else:
                    move(channel, "payments.dead", properties, body, reason=str(error))
            except (Declined, json.JSONDecodeError) as error:
                move(channel, "payments.dead", properties, body, reason=str(error))
            channel.basic_ack(delivery_tag=method.delivery_tag)


def move(channel, queue, properties, body, **more):
    properties.headers = {**(properties.headers or {}), **more}
    channel.basic_publish(exchange="", routing_key=queue, body=body, properties=properties, mandatory=True)


def declare(channel):
    channel.queue_declare(queue="payments.dead", durable=True, arguments=QUORUM)
    back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "payments"}
    channel.queue_declare(queue="payments.retry", durable=True, arguments={**QUORUM, **back})
