"""Exercise 2.3, solved: change a routing table while messages flow.

Brief  docs/module_2_core_concepts/exercises/ex_03_routing_table.md
Walk   solutions/module_2_core_concepts/ex_03_routing_table.ipynb
"""

import pika

CLASSIC = {"x-queue-type": "classic"}


def lay_out(parameters, table):
    """Declare the exchange ``returns``, and let each return go to the desk that *table* names for its routing key.

    A desk is a durable queue; declare it. A message with a key that is not in the table goes to the durable queue ``returns.lost``, and
    one with a key of the table does not. What else you declare is yours to choose; let its name begin with ``returns.``, and let it be
    durable.

    Called again with the same table, it changes nothing: what waits stays, and so do the bindings that others have made. After a ``move``
    the table is the one with the row moved. It leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        table: Routing key to the name of a queue, a dict.
    """
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        # What fits no row of `returns` is asked for its key a second time, by `returns.moving`, which knows the rows that are on the move.
        for exchange, kind, alternate in (
            ("returns.unrouted", "fanout", {}),
            ("returns.moving", "direct", {"alternate-exchange": "returns.unrouted"}),
            ("returns", "direct", {"alternate-exchange": "returns.moving"}),
        ):
            channel.exchange_declare(exchange=exchange, exchange_type=kind, durable=True, arguments=alternate)
        channel.queue_declare(queue="returns.lost", durable=True, arguments=CLASSIC)
        channel.queue_bind(queue="returns.lost", exchange="returns.unrouted", routing_key="")
        for key, desk in table.items():
            channel.queue_declare(queue=desk, durable=True, arguments=CLASSIC)
            channel.queue_bind(queue=desk, exchange="returns", routing_key=key)


def move(parameters, key, source, target):
    """Let *target* have the returns with the routing key *key*, in place of *source*, while tills publish to ``returns`` all the time.

    ``lay_out`` was called before, and both queues are there. Of the returns with this key that are published meanwhile, each is in one of
    the two queues when this function has returned, once, and in no other queue. From then on they go to *target*. What waits in *source*
    stays there, as does what waits in ``returns.lost`` with a key of its own. Other rows of the table are not touched, and a return with a
    key that is in no row goes to ``returns.lost`` all the time, as ever.

    The process may be killed at any time. Called again with the same arguments, this function ends what it has begun, and for what was
    published between the two calls the same holds. It leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        key: The routing key of the row to change.
        source: The queue that has it now.
        target: The queue that shall have it.
    """
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        # An alternate exchange gets what fits no binding, and only that. So this row does nothing until the next line is carried out, and
        # from then on everything; the last two lines are the same the other way round. There are never two ways, and never none.
        channel.queue_bind(queue=target, exchange="returns.moving", routing_key=key)
        channel.queue_unbind(queue=source, exchange="returns", routing_key=key)
        channel.queue_bind(queue=target, exchange="returns", routing_key=key)
        channel.queue_unbind(queue=target, exchange="returns.moving", routing_key=key)
