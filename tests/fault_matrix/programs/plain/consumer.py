"""A consumer as most are written: one callback at a time, acknowledge after it, connect again when the connection is lost.

``careless``: automatic acknowledgements.
"""

import random
import signal
import time

import pika

from tests.fault_matrix.programs.plain.publisher import LOST
from tests.fault_matrix.programs.stage import Stage


def main() -> None:
    """Handle what comes until told to end."""
    stage = Stage()
    signal.signal(signal.SIGTERM, lambda *_: stage.ended.set())
    stage.tell("ready")
    while not stage.ended.is_set():
        try:
            consume(stage)
        except LOST:
            time.sleep(0.1)
    stage.report(reconnects=0)


def consume(stage: Stage) -> None:
    """One connection's life."""
    parameters = [pika.URLParameters(url) for url in random.sample(stage.options["urls"], len(stage.options["urls"]))]
    for one in parameters:
        one.client_properties = {"connection_name": "consumer"}
        one.socket_timeout = one.stack_timeout = 4
        one.heartbeat = 10
    careless = stage.options["careless"]
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=20)
    for method, properties, body in channel.consume(stage.options["queue"], auto_ack=careless, inactivity_timeout=0.5):
        if method is not None:
            try:
                stage.work(properties.message_id, body)
            except ValueError:
                if not careless:
                    channel.basic_reject(delivery_tag=method.delivery_tag, requeue=True)
                continue
            if not careless:
                channel.basic_ack(delivery_tag=method.delivery_tag)
                stage.ledger.acked(properties.message_id)
        if stage.ended.is_set():
            break
    connection.close()


if __name__ == "__main__":
    main()
