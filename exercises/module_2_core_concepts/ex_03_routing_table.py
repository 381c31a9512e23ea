"""Exercise 2.3: change a routing table while messages flow.

Brief  docs/module_2_core_concepts/exercises/ex_03_routing_table.md
Check  ./lab check 2/ex_03
"""


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
    # TODO: the table first, each row a binding. Then: where does a message go that fits none?
    raise NotImplementedError


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
    # TODO: two calls would do if nobody published between them. Who has a message that comes between?
    raise NotImplementedError
