"""A service of the shop, which logs what it does."""

LEVELS = ("debug", "info", "warning", "error", "critical")


def log(parameters, source, lines):
    """Publish each of *lines* to the exchange ``logs``, with the routing key ``<source>.<level>``, and wait for RabbitMQ to confirm it.

    *lines* gives each line once; ask for the next when this one is confirmed. Exchange and queues are there: declare none of them.

    The body is JSON: ``{"source": "till", "level": "error", "text": "the drawer is stuck"}``. The ``message_id`` is the line's own: a copy
    of the line has the same one, and no other line has, of whatever service and on whatever day. The message is persistent.

    When the connection is lost, open another one and send again what was not confirmed, with the same ``message_id``, and nothing else.
    Between two tries you may pause, half a second at most. Give up, with pika's exception, when for the fifth time in a row a connection
    was lost, or could not be opened, and no line was confirmed in between; and at once when the login is refused. However this function
    ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        source: The name of the service, one word.
        lines: An iterator of pairs (level, text).

    Returns:
        The number of lines that RabbitMQ has confirmed.
    """
    # TODO: first for a connection that never breaks, then for one that does.
    raise NotImplementedError
