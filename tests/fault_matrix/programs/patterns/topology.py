"""Declare the work queue, its waiting queues and its dead letters, as an administrator does.

``otherwise``: with another argument than before, which RabbitMQ refuses.
"""

import time

import pika

from rabbitlab.patterns.retries import Retries, declare_topology
from tests.fault_matrix.programs.stage import Stage


def main() -> None:
    """Declare, and say how it went."""
    stage = Stage()
    began = time.monotonic()
    different = {"x-delivery-limit": 7} if stage.options.get("otherwise") else {}
    try:
        with pika.BlockingConnection(pika.URLParameters(stage.options["urls"][0])) as connection:
            retries = Retries(**stage.options["retries"])
            declare_topology(connection.channel(), stage.options["queue"], retries, arguments=different)
    except pika.exceptions.AMQPError as error:
        stage.tell("declared", error=f"{type(error).__name__}: {error}", seconds=time.monotonic() - began)
    else:
        stage.tell("declared", seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
