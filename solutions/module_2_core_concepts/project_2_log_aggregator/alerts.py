"""Somebody is told of each error."""

import json

import pika


def watch(parameters, notify, idle=1.0):
    """Take each line out of ``logs.alerts``, oldest first, and tell somebody of it, until none has come for *idle* seconds.

    Acknowledge a line when ``notify`` has returned, and no sooner; have at most one in hand. If ``notify`` raises, let the exception
    through; the line is ready again then. A copy, which has the ``message_id`` of a line that this call has told of, is acknowledged and
    told to nobody. The queue is there: do not declare it. However this function ends, it leaves no connection open and no line
    unacknowledged.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        notify: Called with one line, a dict.
        idle: Seconds without a line after which to return; None to go on for ever.

    Returns:
        The number of lines that somebody was told of.
    """
    told = set()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, properties, body in channel.consume(queue="logs.alerts", inactivity_timeout=idle):
            if method is None:
                break
            if properties.message_id not in told:
                notify(json.loads(body))
                told.add(properties.message_id)
            # Only now: a line that was acknowledged before somebody knew of it would be known to nobody if we were killed between.
            channel.basic_ack(delivery_tag=method.delivery_tag)
    return len(told)
