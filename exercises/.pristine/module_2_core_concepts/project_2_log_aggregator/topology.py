"""Where the lines of all services go: one exchange, four queues."""


def declare(parameters, screen=50):
    """Declare the exchange ``logs`` and the four queues, and bind them. Called again, it changes nothing.

    It is called whenever one of the programs begins: what is there stays, and so do the messages in it and the bindings that others have
    made.

    A line's routing key is ``<source>.<level>``: ``till.error``. One line goes to each queue that it is for, once:

    * ``logs.archive``, a stream, gets every line;
    * ``logs.alerts``, a quorum queue, gets every ``error`` and every ``critical``;
    * ``logs.screen``, a classic queue, gets every ``warning``, ``error`` and ``critical``, and keeps the newest *screen* of them;
    * ``logs.payments``, a quorum queue, gets every line of the source ``payments``, of whatever level.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        screen: How many lines ``logs.screen`` keeps.
    """
    # TODO: one exchange, four queues; the keys of a queue are its bindings.
    raise NotImplementedError
