"""A publisher as most are written: one BlockingConnection, a confirm after each message, connect again when it is lost.

``careless``: without confirms, so that what it calls sent is what it has handed to a socket.
"""

import random
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from tests.fault_matrix.programs.stage import Stage

LOST = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)


def main() -> None:
    """Send what the stage orders."""
    stage = Stage()
    deadline, careless = stage.options.get("deadline", 30.0), stage.options["careless"]
    channel = opened(stage)
    stage.tell("ready", special=stage.special())
    longest = 0.0
    for id, body in stage.orders(flush=lambda: None):
        stage.notebook.invoke(id)
        began = time.monotonic()
        properties = pika.BasicProperties(message_id=id, delivery_mode=2)
        while True:
            try:
                channel = channel or opened(stage)
                channel.basic_publish(
                    exchange="", routing_key=stage.options["queue"], body=body, properties=properties, mandatory=not careless
                )
                stage.ledger.ok(id)
                break
            except (pika.exceptions.UnroutableError, pika.exceptions.NackError):
                stage.ledger.fail(id)
                break
            except LOST:
                channel = None
                if time.monotonic() > began + deadline:
                    stage.ledger.unknown(id)
                    break
                time.sleep(0.1)
        longest = max(longest, time.monotonic() - began)
    stage.report(longest_call=longest, longest_outcome=longest, most_in_flight=1, reconnects=0)


def opened(stage: Stage):
    """A channel of a new connection to some node."""
    parameters = [pika.URLParameters(url) for url in random.sample(stage.options["urls"], len(stage.options["urls"]))]
    for one in parameters:
        one.client_properties = {"connection_name": "publisher"}
        one.socket_timeout = one.stack_timeout = 4
        one.heartbeat = 10
        one.blocked_connection_timeout = 30
    channel = pika.BlockingConnection(parameters).channel()
    if not stage.options["careless"]:
        channel.confirm_delivery()
    return channel


if __name__ == "__main__":
    main()
