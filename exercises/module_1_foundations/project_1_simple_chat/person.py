"""A person: sends to the hub, and reads from an inbox of their own, ``chat.inbox.<name>``."""


def join(parameters, name):
    """Make the inbox of *name*, durable, and tell the hub that *name* has come. Returns when RabbitMQ has confirmed it.

    The inbox is there before the hub hears of it: what the hub puts into a queue that is not there is gone. It may be there already, with
    lines in it; they stay.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who joins.
    """
    # TODO: the inbox first, then the message; all four functions connect, do one thing and close.
    raise NotImplementedError


def say(parameters, name, text):
    """Send *text* to the hub, which need not be there. Returns when RabbitMQ has confirmed it.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who speaks.
        text: What they say.
    """
    raise NotImplementedError


def leave(parameters, name):
    """Tell the hub that *name* goes. The inbox stays, with what is in it. Returns when RabbitMQ has confirmed it.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Who leaves.
    """
    raise NotImplementedError


def read(parameters, name):
    """Take everything that is in the inbox of *name*, and do not wait for more.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        name: Whose inbox.

    Returns:
        A list of pairs (who, text), oldest first.
    """
    raise NotImplementedError
