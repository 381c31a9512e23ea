"""Declare the work queue and its dead letters, as an administrator does, for programs of plain pika."""

import time

import pika

from tests.fault_matrix.programs.stage import Stage


def main() -> None:
    """Declare, and say how it went."""
    stage = Stage()
    began = time.monotonic()
    queue, dead = stage.options["queue"], stage.options["dead"]
    quorum = {"x-queue-type": "quorum"}
    with pika.BlockingConnection(pika.URLParameters(stage.options["urls"][0])) as connection:
        channel = connection.channel()
        channel.queue_declare(queue=dead, durable=True, arguments=quorum)
        to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-delivery-limit": 3}
        channel.queue_declare(queue=queue, durable=True, arguments={**quorum, **to_dead})
    stage.tell("declared", queues=[queue, dead], seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
