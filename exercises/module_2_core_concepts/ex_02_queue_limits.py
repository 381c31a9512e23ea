"""Exercise 2.2: queues with limits, for Black Friday.

Brief  docs/module_2_core_concepts/exercises/ex_02_queue_limits.md
Check  ./lab check 2/ex_02
"""


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    """Declare the three queues of the day, each with the limit that its messages can bear.

    * ``views``, a classic queue, keeps the newest *most_views* messages. When one more comes, the oldest goes.
    * ``orders``, a quorum queue, keeps all that it has taken. When *most_orders* are waiting, RabbitMQ refuses the next one, and its
      publisher is told (a quorum queue counts a little late, and may take one or two more).
    * ``offers``, a classic queue, keeps each message for *offer_seconds* seconds after it came; then nobody gets it any more.

    No queue has a limit beside its own, and all of them survive a restart of RabbitMQ. A queue that is there as it is asked for stays, with
    what is in it. A queue that is there with another limit stays, too, with what is in it: let pika's exception through. However this
    function ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        most_views: How many views to keep.
        most_orders: How many orders may wait.
        offer_seconds: How long an offer is good, in seconds; not always a whole number.
    """
    # TODO: each limit is an argument of the queue, or two of them.
    raise NotImplementedError


def take_orders(parameters, orders):
    """Put each of *orders* into the queue ``orders``, and say which of them RabbitMQ has refused.

    The queue is there, with its limit: do not declare it. Each order is sent as JSON, and RabbitMQ has said yes or no to it before the next
    one is asked for. One that is refused is not tried again, and the others still are sent: there may be room for them. Let any other
    exception through. However this function ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        orders: An iterable of dicts.

    Returns:
        The orders that were refused, a list, in the order in which they came.
    """
    # TODO: which exception tells a refusal?
    raise NotImplementedError
