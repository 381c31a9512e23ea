"""Exercise 1.1, solved: the till puts its orders down.

Brief  docs/module_1_foundations/exercises/ex_01_first_producer.md
Proof  solutions/module_1_foundations/ex_01_first_producer.md
"""

import json

import pika


def send_orders(parameters, orders):
    """Put each of *orders* into the queue ``orders``, as a message of its own, in their order.

    The queue is durable, and it may be there already, with orders in it that wait for the packer: they stay, and the new ones go behind
    them. The body of a message is one order, as JSON. An order counts as sent when RabbitMQ has confirmed it; when RabbitMQ refuses
    one, let pika's exception through. No connection is left open.

    Args:
        parameters: ``pika.ConnectionParameters``, to connect with.
        orders: A list of dictionaries, such as ``{"customer": "Ada", "items": ["lamp"]}``.

    Returns:
        The number of orders that were sent by this call.
    """
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        # From here on each publish waits for RabbitMQ's receipt and raises when the order is refused. Without it, all of them would "work".
        channel.confirm_delivery()
        as_json = pika.BasicProperties(content_type="application/json")
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order).encode(), properties=as_json)
    return len(orders)
