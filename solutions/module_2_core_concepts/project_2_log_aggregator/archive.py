"""Every line that was ever logged, to be read as often as somebody likes."""

import json

import pika


def read(parameters, first=0, source=None, idle=1.0):
    """Read the stream ``logs.archive`` from the offset *first*, until none has come for *idle* seconds. The lines stay there.

    A copy, which has the ``message_id`` of a line that was read before it, is left out; two lines with the same text are two. The stream is
    there: do not declare it.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        first: The offset to begin at; 0 is the first line of all.
        source: Only lines of this source; None for all.
        idle: Seconds without a line after which to return.

    Returns:
        The lines, a list of dicts, in the order in which they were logged.
    """
    lines, seen = [], set()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)  # a stream gives nothing to a consumer that has not said how much it can bear
        stream = channel.consume(queue="logs.archive", arguments={"x-stream-offset": first}, inactivity_timeout=idle)
        for method, properties, body in stream:
            if method is None:
                break
            # In a stream this takes nothing away: it asks for more.
            channel.basic_ack(delivery_tag=method.delivery_tag)
            line = json.loads(body)
            if properties.message_id not in seen and source in (None, line["source"]):
                lines.append(line)
            seen.add(properties.message_id)
    return lines
