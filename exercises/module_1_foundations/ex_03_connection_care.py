"""Exercise 1.3: look after a connection.

Brief  docs/module_1_foundations/exercises/ex_03_connection_care.md
Check  ./lab check 1/ex_03
"""


def send_with_care(parameters, orders, tries=5):
    """Put each of *orders* into the queue ``orders``, whatever becomes of the connection meanwhile.

    The queue is there. *orders* is an iterator: it gives one order after the other, the next one at once or in an hour, and none a second
    time. So each order is sent, as JSON, and confirmed by RabbitMQ before the next one is asked for. All of them go over one connection, as
    long as it works.

    When the connection is lost, open a new one and send again the order that was not confirmed, and no other. For one order, try at most
    *tries* times, with at most half a second between two tries; if the last one fails as well, let its exception through. When RabbitMQ
    refuses user and password, let that exception through at once: trying again would not help.

    However this function ends, it leaves no connection open. If *orders* raises, let the exception through.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        orders: An iterator of dicts.
        tries: How often to try for one order, at least once.

    Returns:
        The number of orders that RabbitMQ has confirmed, each counted once.
    """
    # TODO: which order has to be sent again when the connection is lost in the middle?
    raise NotImplementedError
