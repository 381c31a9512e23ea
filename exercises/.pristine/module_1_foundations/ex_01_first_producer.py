"""Exercise 1.1: the till puts its orders down.

Brief  docs/module_1_foundations/exercises/ex_01_first_producer.md
Check  ./lab check 1/ex_01
"""


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
    # TODO: connect with the parameters, open a channel, and go on from there.
    raise NotImplementedError
