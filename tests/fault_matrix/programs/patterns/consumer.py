"""A service that handles orders through the resilient consumer, and writes down each start and each effect."""

from prometheus_client import CollectorRegistry

from rabbitlab.patterns.consumer import ResilientConsumer
from rabbitlab.patterns.message import Message
from rabbitlab.patterns.metrics import Metrics
from rabbitlab.patterns.retries import Retries
from tests.fault_matrix.programs.stage import Stage

GRACE = 8.0  # seconds for handlers after SIGTERM


def main() -> None:
    """Consume until told to end."""
    stage = Stage()
    options = stage.options

    def handle(message: Message) -> None:
        if stage.work(message.message_id, message.body) == "ack":
            acknowledge_as_well(message)
            stage.tell("acknowledged twice", id=message.message_id)

    registry = CollectorRegistry()
    given = {name: options[name] for name in ("prefetch", "workers", "heartbeat") if name in options}
    consumer = ResilientConsumer(
        options["urls"],
        options["queue"],
        handle,
        name="consumer",
        retries=Retries(**options["retries"]),
        metrics=Metrics("consumer", registry),
        **given,
    )
    consumer.stop_on_signals(timeout=GRACE)
    consumer.start()
    stage.tell("ready")
    while not consumer.join(timeout=0.2):
        if stage.ended.is_set():
            consumer.stop(timeout=GRACE)
    names = ("reconnects_total", "redelivered_total", "retried_total", "dead_lettered_total")
    counted = {name: registry.get_sample_value(f"rabbitmq_client_{name}", {"name": "consumer"}) for name in names}
    stage.report(**counted)


def acknowledge_as_well(message: Message) -> None:
    """A mistake that nobody can make through the consumer's own interface: a second ack for one delivery."""
    subscription = message.subscription
    subscription._link.call(lambda: subscription._channel.basic_ack(delivery_tag=message._tag))


if __name__ == "__main__":
    main()
