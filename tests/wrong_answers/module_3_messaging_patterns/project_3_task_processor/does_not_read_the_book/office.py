"""The office enters in a book what became of each invoice."""

import json

import pika


def enter(parameters, book, idle=1.0):
    entered = 0
    with open(book, "a+", encoding="utf-8") as lines, pika.BlockingConnection(parameters) as connection:
        known = set()
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="invoices.results", inactivity_timeout=idle):
            if method is None:
                break
            result = json.loads(body)
            if result["id"] not in known:
                lines.write(json.dumps(result) + "\n")
                lines.flush()
                known.add(result["id"])
                entered += 1
            channel.basic_ack(delivery_tag=method.delivery_tag)
    return entered
