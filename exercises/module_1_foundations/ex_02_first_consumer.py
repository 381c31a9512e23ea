"""Exercise 1.2: the first consumer.

Brief  docs/module_1_foundations/exercises/ex_02_first_consumer.md
Check  ./lab check 1/ex_02
"""


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
    # TODO: one order first: connect, take it, read the JSON, pack it, acknowledge it. Then n of them.
    raise NotImplementedError
