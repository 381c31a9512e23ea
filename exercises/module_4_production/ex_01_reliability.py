"""Exercise 4.1: relay paid orders to shipping.

Brief  docs/module_4_production/exercises/ex_01_reliability.md
Check  ./lab check 4/ex_01
"""


def relay(nodes):
    """Carry each order from the queue ``paid`` to the exchange ``shipping``, for ever, and lose none.

    All queues and exchanges are there: declare nothing. An order goes on as it came, with the body and the properties that it had, its
    ``message_id`` among them. Its routing key is what its JSON gives as ``country``.

    Acknowledge an order when RabbitMQ has confirmed it in its next place, and no sooner. Its next place is the queue that the exchange
    sends it to. If there is none, put it into the queue ``shipping.unroutable``, once. If the queue refuses it, try again until it is
    taken. That an order arrives twice is allowed where a connection was lost, and only there.

    When a connection is lost, when the broker ends your consumer, when ``paid`` is missing for a moment: begin anew, with any of *nodes*
    that answers, and close what is left of the old connection. Between two tries of anything, pause for a tenth of a second at least and
    a second at most.

    Args:
        nodes: A list of ``pika.ConnectionParameters``, one for each node. Some of them may not answer.

    Returns:
        Never.
    """
    # TODO: what has to have happened to an order before you acknowledge it?
    raise NotImplementedError
