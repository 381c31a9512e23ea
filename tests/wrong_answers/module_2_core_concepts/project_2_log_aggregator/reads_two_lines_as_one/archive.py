"""Every line that was ever logged, to be read as often as somebody likes."""

import json

import pika


def read(parameters, first=0, source=None, idle=1.0):
    lines, seen = [], set()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)  # a stream gives nothing to a consumer that has not said how much it can bear
        stream = channel.consume(queue="logs.archive", arguments={"x-stream-offset": first}, inactivity_timeout=idle)
        for method, properties, body in stream:
            if method is None:
                break
            channel.basic_ack(delivery_tag=method.delivery_tag)
            line = json.loads(body)
            if body not in seen and source in (None, line["source"]):
                lines.append(line)
            seen.add(body)
    return lines
