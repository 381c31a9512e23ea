"""What a checklist does not ask, and a cluster that runs shows: its queues as they are now."""

from collections import Counter
from collections.abc import Collection

from rabbitlab.audit.error_handling import dead_letter_queues
from rabbitlab.audit.letters import Letters
from rabbitlab.audit.prometheus import LOST
from rabbitlab.audit.queues import REPLICATED, Place, at, every, important, kind, names, number, ruled, setting, shared, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen

SECTION = Section("As it runs now", "Queues")
ENOUGH_LEADERS = 6  # fewer say nothing about balance
FULL = 0.9  # of what consumers may hold
BOUNDS = ("max-length", "max-length-bytes", "message-ttl", "max-age")
BOUND = (
    """`rabbitmqctl set_policy -p VHOST bounds '^orders$' '{"max-length": 100000, "overflow": "reject-publish"}' --apply-to queues`."""
    " A queue obeys one policy: put all its keys into that."
)
BOUND_STREAM = (  # one key that streams do not know, and they obey nothing of the policy
    """`rabbitmqctl set_policy -p VHOST bounds '^events$' '{"max-age": "7D", "max-length-bytes": 50000000000}' --apply-to streams`."""
)
DOWN = ("down", "stopped", "crashed", "minority", "timeout")


@SECTION.item(
    "queue-members",
    "Members of quorum queues online",
    why="A member that is away holds no copy; the next loss may stop the queue.",
    mend="Start the node; where it is gone for good: `rabbitmq-queues delete_member` and `add_member`, or shrink and grow;"
    " of a stream, `rabbitmq-streams delete_replica` and `rabbitmq-streams add_replica`.",
    look="Whoever runs the nodes: `rabbitmq-queues quorum_status --vhost VHOST QUEUE`,"
    " or `rabbitmq-streams stream_status --vhost VHOST STREAM`.",
    lessons=("reference_03_clustering.md#ask-before-you-take-a-node-down",),
)
def queue_members(seen: Seen) -> Finding:
    """Members that are offline, and queues that do not run."""
    queues = [queue for queue in seen["queues"] if kind(queue) in REPLICATED]
    away = [queue for queue in queues if set(queue.get("members") or ()) - set(queue.get("online") or ())]
    down = [queue for queue in seen["queues"] if queue.get("state") in DOWN]
    if away or down:
        said = [f"{number(len(away), 'queue', 'miss')} a member"] if away else []
        said += [f"{number(len(down), 'queue', 'do')} not run"] if down else []
        return failed(f"{'; '.join(said)}.", dict.fromkeys(names(away + down)))
    if not queues:
        return not_applicable("There is no queue with members.")
    return passed(f"All members of {number(len(queues), 'queue')} are online.")


@SECTION.item(
    "leaders-balanced",
    "Leaders spread over the nodes",
    why="All publishing and consuming goes through a queue's leader; a node that leads them all works for all.",
    mend="`rabbitmq-queues rebalance all`, or for one virtual host alone `rabbitmq-queues rebalance all --vhost-pattern '^VHOST$'`.",
    look="Whoever runs the nodes: `rabbitmqctl list_queues -p VHOST name leader`.",
    lessons=("03_clustering.md#a-quorum-queue-has-a-leader-and-members",),
)
def leaders_balanced(seen: Seen) -> Finding:
    """Leaders by node."""
    running = [node["name"] for node in seen["nodes"] if node.get("running")]
    led = Counter(queue.get("leader") for queue in seen["queues"] if kind(queue) in REPLICATED and queue.get("leader"))
    total = sum(led.values())
    if len(running) < 2 or total < ENOUGH_LEADERS:
        return not_applicable(f"{number(total, 'leader')} on {number(len(running), 'node')}: too few to tell.")
    each = [f"{node}: {led[node]}" for node in running]
    if max(led[node] for node in running) - min(led[node] for node in running) > total / len(running):
        return failed(f"The leaders of {total} queues are not spread.", each)
    return passed(f"The leaders of {total} queues are spread ({', '.join(each)}).")


@SECTION.item(
    "stuck-messages",
    "No messages without a consumer",
    why="Messages wait, and nobody takes them: a worker that ended well, or whose consumer was cancelled, looks the same from outside.",
    mend="Start the consumer; where the queue is used no more, delete its bindings, then the queue.",
    look="Whoever owns the queue: who should consume it?",
    lessons=("01_reliability.md#the-broker-ends-a-consumer-and-nobody-is-told",),
)
def stuck_messages(seen: Seen) -> Finding:
    """Queues that hold messages and have no consumer; those for dead letters and for waiting have none by nature."""
    if seen["overview"].get("disable_stats"):
        return unseen("The cluster collects no statistics: how many consumers a queue has does not show.")
    ends, letters = dead_letter_queues(seen), Letters.of(seen)
    queues = [queue for queue in ruled(seen, shared(seen)) if kind(queue) != "stream" and at(queue) not in ends]
    queues = [queue for queue in queues if not letters.waits(queue)]
    stuck = [queue for queue in queues if queue.get("messages_ready") and not queue.get("consumers")]
    if stuck:
        waiting = sum(queue["messages_ready"] for queue in stuck)
        return failed(f"{number(waiting, 'message', 'wait')} in {number(len(stuck), 'queue')} that nobody consumes.", names(stuck))
    return passed(f"Of {number(len(queues), 'queue')}, each that holds messages has a consumer.")


@SECTION.item(
    "failed-messages",
    "No failed messages left lying",
    why="Each is an order that was not done. Somebody must look, mend the cause, and send it back or set it aside.",
    mend="Look without harm, mend the cause, send them back with confirms: lesson 4.2 has a program for it.",
    look="Whoever owns the queue: what waits in the queues of dead letters?",
    lessons=("02_dead_letter_exchanges.md#send-them-back-and-lose-none",),
)
def failed_messages(seen: Seen) -> Finding:
    """Queues of dead letters that are not empty."""
    ends = dead_letter_queues(seen)
    if not ends:
        return not_applicable("There is no queue of dead letters.")
    lying = [queue for queue in seen["queues"] if at(queue) in ends and queue.get("messages")]
    if lying:
        total = sum(queue["messages"] for queue in lying)
        return failed(f"{number(total, 'message')} that failed lie in {number(len(lying), 'queue')}.", names(lying))
    return passed(f"{number(len(ends), 'queue')} of dead letters, and all are empty.")


@SECTION.item(
    "unacked-at-prefetch",
    "Consumers that acknowledge",
    why="A consumer that holds all it may and acknowledges nothing is at long work, or stuck: what it holds reaches nobody else.",
    mend="See what the consumer waits for, and restart the one that is stuck: what it held is delivered again. For long work"
    " `channel.basic_qos(prefetch_count=1)`, so that others get the rest, and an `x-consumer-timeout` above the longest job.",
    look="Whoever owns the consumer: what is it doing, and since when?",
    lessons=("reference_01_reliability.md#a-prefetch-limits-what-comes-back",),
)
def unacked_at_prefetch(seen: Seen) -> Finding:
    """Queues whose consumers hold what they may, while messages wait and nothing is acknowledged. One message each may be long work."""
    if seen["overview"].get("disable_stats"):
        return unseen("The cluster collects no statistics: what consumers hold does not show.")
    stuck = seen["stuck"]
    if stuck:
        saw = f"Messages wait in {number(len(stuck), 'queue')}, whose consumers hold several others each, all they may,"
        return failed(f"{saw} and have acknowledged none for a minute or longer.", stuck)
    may_hold: Counter[Place] = Counter()
    for consumer in seen["consumers"]:
        if consumer.get("active", True):  # with a single active consumer the others hold nothing
            may_hold[at(consumer["queue"])] += consumer.get("prefetch_count") or 0
    queues = [queue for queue in shared(seen) if may_hold[at(queue)]]
    full = [
        queue
        for queue in queues
        if queue.get("messages_unacknowledged", 0) >= FULL * may_hold[at(queue)]
        and queue.get("messages_ready")
        and not queue.get("message_stats", {}).get("ack_details", {}).get("rate")
    ]
    if full:
        saw = f"The consumers of {number(len(full), 'queue')} hold all they may, and acknowledged nothing of late: long work, or stuck."
        return unseen(f"{saw} For a minute that looks the same, and with one message each for ever.", names(full))
    if not queues:
        return unseen("Nobody consumes with a prefetch at the moment.")
    return passed(f"The consumers of {number(len(queues), 'queue')} acknowledge, or have room for more.")


@SECTION.item(
    "queue-bounds",
    "Queues that end somewhere: length or TTL",
    why="A queue without an end fills memory and disk until the alarm stops the publishers of all others, too.",
    mend=BOUND,
    look="Whoever declares the queues: a limit that a good day does not reach, or a TTL where old messages are worth nothing.",
    lessons=("05_security.md#a-limit-is-a-door-that-can-be-full",),
)
def queue_bounds(seen: Seen) -> Finding:
    """Important queues without a limit of length and without a TTL."""
    ends = dead_letter_queues(seen)
    queues = [queue for queue in ruled(seen, important(seen)) if at(queue) not in ends]
    if not queues:
        return not_applicable("There is no queue that is shared.")
    endless = [queue for queue in queues if all(setting(queue, key) is None for key in BOUNDS)]
    if endless:
        streams = sum(kind(queue) == "stream" for queue in endless)
        mend = BOUND_STREAM if streams == len(endless) else f"{BOUND} For streams: {BOUND_STREAM}" if streams else BOUND
        return failed(f"{number(len(endless), 'queue', 'have', of=len(queues))} no limit of length and no TTL.", names(endless), mend)
    return passed(f"{every(len(queues), 'queue', 'have')} a limit of length or a TTL.")


@SECTION.item(
    "lost-in-silence",
    "No messages lost in silence",
    why="Neither publisher nor consumer is told of these; the nodes' counters are the only trace.",
    mend="`mandatory=True` on each publish, and a dead letter exchange for every queue; then find who did it, by the rates in the UI.",
    look="Whoever runs the nodes: give the audit their metrics with `--metrics`, or a Prometheus with `--prometheus`.",
    lessons=("04_monitoring.md#listen-for-what-makes-no-sound",),
)
def lost_in_silence(seen: Seen) -> Finding:
    """The counters: of the last day where Prometheus has all of them, else since each node started."""
    if "lost_lately" in seen:
        when = "within a day"
        lost, gap = _lost(seen["lost_lately"]), _uncounted(seen, seen["lost_lately"], seen.get("watched", ()))
        if lost:
            return failed(f"Lost {when}: {lost}.")
        if not gap:
            return passed(f"No message was dropped {when} that nobody was told of.")
        if "metrics" not in seen:
            return unseen(f"Nothing {when}, as far as Prometheus knows, but it does not count all: {some(gap)}.", gap)
    metrics, when = seen["metrics"], "since the nodes started"
    lost, gap = _lost(metrics["lost"]), _uncounted(seen, metrics["lost"], metrics["nodes"])
    if lost:
        return failed(f"Lost {when}: {lost}.")
    if gap:
        return unseen(f"Nothing {when}, as far as {some(metrics['nodes'])} know; not counted: {some(gap)}.", gap)
    return passed(f"No message was dropped {when} that nobody was told of.")


def _lost(counted: dict[str, float]) -> str:
    """What was lost, in words."""
    return "; ".join(f"{number(round(count), 'message')} {words}" for words, count in counted.items() if round(count))


def _uncounted(seen: Seen, counted: Collection[str], asked: Collection[str]) -> list[str]:
    """The nodes that run and were not asked, and what was counted nowhere."""
    nodes = [node["name"] for node in seen["nodes"] if node.get("running") and node["name"] not in asked]
    return nodes + [f"messages {words}" for *_, words in LOST if words not in counted]
