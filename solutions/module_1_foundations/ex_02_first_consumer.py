"""Exercise 1.2, solved: the first consumer.

Brief  docs/module_1_foundations/exercises/ex_02_first_consumer.md
Walk   solutions/module_1_foundations/ex_02_first_consumer.ipynb
"""

import json

import pika

PATIENCE = 0.5  # seconds without an order, after which the packer goes home


def pack_orders(parameters, n, pack):
    """Take *n* orders off the queue ``orders``, oldest first, and hand each of them to *pack*.

    The queue is there, and every message in it is an order as JSON. Acknowledge an order when ``pack`` has returned, and before the next
    one is packed. When half a second has passed without another order, stop: the queue may never have held *n*.

    However this function ends, each order that was not packed is ready for somebody else. If ``pack`` raises, let the exception through.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        n: How many orders to pack, at least one.
        pack: Called with one order, a dict.

    Returns:
        The number of orders that were packed.
    """
    packed = 0
    # Leaving the `with`, in whatever way, closes the connection: RabbitMQ then puts back all that was delivered and not acknowledged.
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)  # nobody else can have what lies here, so take one at a time
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=PATIENCE):
            if method is None:
                break
            pack(json.loads(body))
            # The order is packed, so RabbitMQ may forget it. Were this line above pack(), a stumble between the two would lose it.
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
