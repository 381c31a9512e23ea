"""Who is measured, and which ratios are wanted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """A program of ``benchmarks/``.

    Attributes:
        name: Of the program.
        title: In tables and charts.
        ours: Whether it is one of the patterns.
    """

    name: str
    title: str
    ours: bool = False

    @property
    def publishes(self) -> bool:
        """Whether it publishes; else it consumes."""
        return self.name.startswith("publish")


@dataclass(frozen=True)
class Target:
    """A ratio between two contenders in the same round.

    Attributes:
        one: Name of the contender that is judged.
        other: Name of the one that it is compared with.
        wanted: The ratio that it must reach.
        stretch: The ratio that would be fine; None where there is none.
        text: What it means, with ``{}`` for the ratio.
    """

    one: str
    other: str
    wanted: float
    text: str
    stretch: float | None = None


LIMIT = "publish_frames"
ALL = (
    Contender(LIMIT, "pre-encoded frames on a socket (the limit)"),
    Contender("publish_patterns", "our ReliablePublisher", ours=True),
    Contender("publish_select", "a bare SelectConnection loop"),
    Contender("publish_unconfirmed", "pika without confirms"),
    Contender("publish_aio_pika", "aio-pika, batches of 1,000"),
    Contender("publish_one_by_one", "pika, a confirm after each"),
    Contender("publish_kombu", "kombu, a confirm after each"),
    Contender("publish_amqpstorm", "AMQPStorm, a confirm after each"),
    Contender("consume_patterns", "our ResilientConsumer", ours=True),
    Contender("consume_usual", "pika's usual loop, an ack after each"),
    Contender("consume_multiple", "pika, an ack for 50 at once"),
    Contender("consume_aio_pika", "aio-pika, an ack after each"),
    Contender("consume_kombu", "kombu, an ack after each"),
    Contender("consume_amqpstorm", "AMQPStorm, an ack after each"),
)
TITLES = {contender.name: contender.title for contender in ALL}
TARGETS = (
    Target("publish_patterns", LIMIT, 0.60, "publisher: {:.0%} of the limit", stretch=0.75),
    Target("publish_patterns", "publish_select", 0.90, "publisher: {:.0%} of a bare SelectConnection loop"),
    Target("publish_patterns", "publish_one_by_one", 12.0, "publisher: {:.1f} times a confirm after each"),
    Target("publish_patterns", "publish_aio_pika", 2.5, "publisher: {:.1f} times aio-pika in batches"),
    Target("publish_patterns", "publish_unconfirmed", 1.0, "publisher: {:.1f} times pika without confirms"),
    Target("consume_patterns", "consume_usual", 2.0, "consumer: {:.1f} times the usual loop"),
)
