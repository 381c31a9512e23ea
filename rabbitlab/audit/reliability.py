"""Production readiness: reliability."""

from collections import Counter
from typing import Any

from rabbitlab.audit.queues import REPLICATED, at, every, important, kind, names, number, shown, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen
from rabbitlab.audit.versions import since

SECTION = Section("Production readiness", "Reliability")
AMQP = "AMQP 0-9-1"


@SECTION.item(
    "durable-queues",
    "Durable queues for important data",
    why="A queue that is not durable is gone after a restart, with all that was in it; RabbitMQ 4.3 refuses one that is shared.",
    mend="Declare it with `durable=True` under a new name, move its bindings there, empty the old one, then delete it.",
    look="Whoever declares the queues: each `queue_declare` of a shared queue has `durable=True`.",
    lessons=("../module_1_foundations/04_hello_world.md#be-refused",),
)
def durable_queues(seen: Seen) -> Finding:
    """Important queues that are not durable, or go with their last consumer."""
    queues = important(seen)
    if not queues:
        return not_applicable("There is no queue that is shared.")
    fleeting = [queue for queue in queues if not queue.get("durable") or queue.get("auto_delete")]
    if fleeting:
        saw = f"{number(len(fleeting), 'queue', of=len(queues))} would not outlive a restart or its last consumer."
        return failed(saw, names(fleeting))
    return passed(f"{every(len(queues), 'shared queue', 'are')} durable.")


@SECTION.item(
    "persistent-messages",
    "Persistent messages, `delivery_mode=2`",
    why="A classic queue keeps a message that is not persistent in memory: a restart of its node loses it, also from a durable queue.",
    mend="Publish with `properties=pika.BasicProperties(delivery_mode=2)`, or use quorum queues, which store every message.",
    look="Whoever writes the publishers: each publish to a classic queue has `delivery_mode=2`.",
    lessons=(
        "reference_01_reliability.md#persistence-without-a-confirm-promises-nothing",
        "reference_03_clustering.md#restart-the-nodes-in-turn-and-lose-no-sale",
    ),
)
def persistent_messages(seen: Seen) -> Finding:
    """Messages in classic queues that are not persistent."""
    queues = [queue for queue in important(seen) if kind(queue) not in REPLICATED]
    if not important(seen):
        return not_applicable("There is no queue that is shared.")
    if not queues:
        return passed("The queues are quorum queues or streams, which store every message.")
    holding = [queue for queue in queues if queue.get("messages") and "messages_persistent" in queue]
    transient = [queue for queue in holding if _keeps(queue) is False]
    if transient:
        return failed(f"{number(len(transient), 'classic queue', 'hold')} messages that a restart would lose.", names(transient))
    shows = sum(_keeps(queue) is True for queue in holding)
    if shows < len(queues):
        return unseen(f"Of {number(len(queues), 'classic queue')}, {len(queues) - shows} hold nothing that would show it.")
    return passed(f"All messages that {number(len(queues), 'classic queue', 'hold')} now are persistent.")


@SECTION.item(
    "manual-acks",
    "Manual acknowledgements, `auto_ack=False`",
    why="With `auto_ack=True` a message counts as done when it is sent to the consumer; if that one fails or dies, the message is gone.",
    mend="Consume with `auto_ack=False`, and `basic_ack` when the work is done.",
    look="Whoever writes the consumers: `basic_consume` and `basic_get` have `auto_ack=False`. Run the audit while they are connected.",
    lessons=(
        "01_reliability.md#an-acknowledgement-given-too-early-loses-the-order",
        "reference_01_reliability.md#a-consumer-that-takes-too-long-is-cancelled-too",
    ),
)
def manual_acks(seen: Seen) -> Finding:
    """Consumers of important queues that acknowledge automatically, and channels that fetch so. A stream keeps what it has sent."""
    streams = {at(queue) for queue in seen["queues"] if kind(queue) == "stream"}
    consumers = [each for each in _consumers(seen) if at(each["queue"]) not in streams]
    fetching = [channel for channel in seen["channels"] if channel.get("message_stats", {}).get("get_no_ack")]
    automatic = [consumer for consumer in consumers if not consumer.get("ack_required")]
    if automatic or fetching:
        saw = f"{number(len(automatic), 'consumer', 'acknowledge', of=len(consumers))} by being sent to, before any work is done"
        saw += f"; {number(len(fetching), 'channel', 'fetch')} so, with basic_get." if fetching else "."
        programs = [_program(seen, channel.get("connection_details", {}).get("name"), "basic_get") for channel in fetching]
        return failed(saw, _by_queue(automatic) + programs)
    if not consumers:
        return unseen("Nobody consumes at the moment.")
    return passed(f"{number(len(consumers), 'consumer')}, none of which acknowledges automatically.")


@SECTION.item(
    "publisher-confirms",
    "Publisher confirms enabled",
    why="Without confirms a publisher does not learn that a message never arrived: the node died, the queue was full, no queue matched.",
    mend="`channel.confirm_delivery()`, and `mandatory=True` on each publish; handle `UnroutableError` and `NackError`, and a"
    " confirm that never comes.",
    look="Whoever writes the publishers. Run the audit again while they publish: it judges channels that are open.",
    lessons=("01_reliability.md#a-publish-can-end-in-three-ways", "01_reliability.md#a-confirm-gets-lost-and-the-order-comes-twice"),
)
def publisher_confirms(seen: Seen) -> Finding:
    """Open channels that have published without confirms."""
    publishing = [channel for channel in seen["channels"] if channel.get("message_stats", {}).get("publish")]
    blind = [channel for channel in publishing if _is_blind(channel)]
    if blind:
        who = [_program(seen, channel.get("connection_details", {}).get("name"), channel.get("user", "")) for channel in blind]
        return failed(f"{number(len(blind), 'channel', 'publish', of=len(publishing))} without confirms.", dict.fromkeys(who))
    others = sorted({str(connection.get("protocol")) for connection in seen["connections"]} - {AMQP, "None"})
    if others and not publishing:
        return unseen(f"Clients speak {', '.join(others)}; what they publish is not shown by channel.")
    if not publishing:
        return unseen(f"No channel that is open has published. {_counted(seen)}")
    return passed(f"{number(len(publishing), 'channel', 'publish')}, all with confirms.")


@SECTION.item(
    "cancelled-consumers",
    "Consumer cancellation noticed",
    why="The broker cancels a consumer when its queue is deleted or it takes too long."
    " A program that does not notice runs on, and nothing is done.",
    mend="Ask the queue itself, `rabbitmqctl list_queues -p VHOST name consumers`: statistics may be late."
    " Treat a normal return of `start_consuming` as a failure: close the channel, open a new one, consume again;"
    " restart the program that is stuck.",
    look="Whoever writes the consumers: delete a test queue under each, declare it again, and see that it is consumed within seconds."
    " Whoever runs the nodes: `rabbitmqctl list_queues -p VHOST name consumers` asks the queue itself.",
    lessons=("01_reliability.md#the-broker-ends-a-consumer-and-nobody-is-told",),
)
def consumer_cancellation(seen: Seen) -> Finding:
    """Consumers that the broker has cancelled and whose channel is still there, and clients that cannot be told."""
    stuck = seen["cancelled"]
    if stuck:
        saw = f"{number(len(stuck), 'queue', 'let')} go of a consumer, and its program has not noticed: its channel is open."
        return failed(saw, stuck)
    consuming = {consumer.get("channel_details", {}).get("connection_name") for consumer in seen["consumers"]}
    deaf = [connection for connection in seen["connections"] if connection["name"] in consuming and not _told(connection)]
    if deaf:
        saw = f"{number(len(deaf), 'client')} did not ask to be told when a consumer is cancelled (consumer_cancel_notify)."
        return failed(saw, [_named(connection) for connection in deaf])
    if not consuming:
        return unseen("Nobody consumes at the moment.")
    return unseen("All clients that consume are told of a cancellation; what they do then cannot be seen.")


@SECTION.item(
    "prefetch",
    "Prefetch set appropriately",
    why="Without a prefetch a consumer is sent the whole queue: its memory grows, others get nothing, and all of it"
    " comes back when it dies.",
    mend="`channel.basic_qos(prefetch_count=...)` before `basic_consume`: 1 for long work, some dozens for short work.",
    look="Whoever writes the consumers: `basic_qos` before `basic_consume`. Run the audit again while they are connected.",
    lessons=("reference_01_reliability.md#a-prefetch-limits-what-comes-back",),
)
def prefetch(seen: Seen) -> Finding:
    """Consumers of important queues without a prefetch."""
    speaks = {connection["name"]: connection.get("protocol") for connection in seen["connections"]}
    consumers = [
        consumer
        for consumer in _consumers(seen)
        if consumer.get("ack_required") and speaks.get(consumer.get("channel_details", {}).get("connection_name"), AMQP) == AMQP
    ]
    unlimited = [consumer for consumer in consumers if not consumer.get("prefetch_count")]
    if unlimited:
        saw = f"{number(len(unlimited), 'consumer', 'have', of=len(consumers))} no limit to what they are sent."
        return failed(saw, _by_queue(unlimited))
    if not consumers:
        return unseen("Nobody who acknowledges consumes at the moment.")
    counts = some(map(str, sorted({consumer["prefetch_count"] for consumer in consumers})), 5)
    return passed(f"{number(len(consumers), 'consumer')}, with a prefetch of {counts}.")


@SECTION.item(
    "global-qos",
    "A prefetch shared by the channel, `global_qos=True`",
    why="It meant one limit for all consumers of a channel. Since 4.3 the request is accepted without a word and applied to each consumer.",
    mend="Take `global_qos=True` out of the program, and give each consumer its own `basic_qos`.",
    look="Whoever writes the consumers: search the code for `global_qos` (in other clients: `basicQos(n, true)`).",
    lessons=("reference_01_reliability.md#a-prefetch-limits-what-comes-back",),
)
def global_qos(seen: Seen) -> Finding:
    """Channels with a shared limit, which RabbitMQ before 4.3 shows."""
    channels = [channel for channel in seen["channels"] if channel.get("global_prefetch_count")]
    if channels:
        who = [_program(seen, channel.get("connection_details", {}).get("name"), channel.get("user", "")) for channel in channels]
        return failed(f"{number(len(channels), 'channel', 'share')} a prefetch, which ends with RabbitMQ 4.3.", who)
    if since(seen, 4, 3):
        return not_applicable("Obsolete: since 4.3 such a request means a prefetch for each consumer, and is not shown.")
    return passed("No channel that is open has a shared prefetch.")


def _keeps(queue: dict[str, Any]) -> bool | None:
    """Whether a restart would keep all messages of a classic queue; None where its numbers do not tell.

    How many messages there are is read some seconds before or after how many are persistent, so two numbers of bytes are compared.
    Where there are no bytes yet, a queue that is consumed may have been filled in between.
    """
    if queue.get("message_bytes"):
        return bool(queue["message_bytes_persistent"] == queue["message_bytes"])
    if queue["messages_persistent"] >= queue["messages"]:
        return True
    return None if queue.get("consumers") else False


def _is_blind(channel: dict[str, Any]) -> bool:
    """Whether it has no confirms. The counts of a channel are some seconds ahead of what it says of itself, and may know better."""
    return channel.get("confirm") is False and not channel.get("transactional") and not channel["message_stats"].get("confirm")


def _consumers(seen: Seen) -> list[dict[str, Any]]:
    """Those of important queues."""
    keys = {at(queue) for queue in important(seen)}
    return [consumer for consumer in seen["consumers"] if at(consumer["queue"]) in keys]


def _by_queue(consumers: list[dict[str, Any]]) -> list[str]:
    counted = Counter(shown(consumer["queue"]["name"], consumer["queue"]["vhost"]) for consumer in consumers)
    return [queue + (f" ({count} times)" if count > 1 else "") for queue, count in counted.items()]


def _program(seen: Seen, connection: str | None, otherwise: str) -> str:
    """The name that a program gave its connection, or what else tells it."""
    found = next((one for one in seen["connections"] if one["name"] == connection), None)
    return _named(found) if found else f"{connection or 'a connection'} ({otherwise})"


def _named(connection: dict[str, Any]) -> str:
    given = connection.get("client_properties", {}).get("connection_name")
    return f"{given or connection['name']} (user {connection.get('user')})"


def _told(connection: dict[str, Any]) -> bool:
    if connection.get("protocol") != AMQP:
        return True
    return bool(connection.get("client_properties", {}).get("capabilities", {}).get("consumer_cancel_notify"))


def _counted(seen: Seen) -> str:
    """What virtual hosts have counted since their statistics began: a hint at publishers that come and go."""
    stats = [vhost.get("message_stats", {}) for vhost in seen["vhosts"]]
    published, confirmed = (sum(each.get(what, 0) for each in stats) for what in ("publish", "confirm"))
    if not published:
        return "Nothing has been published since the counting began."
    return f"Since the counting began, {min(confirmed, published):,} of {published:,} were confirmed."
