"""What a checklist does not ask, and a cluster that runs shows: its queues as they are now."""

from collections import Counter

from rabbitlab.audit.error_handling import dead_letter_queues
from rabbitlab.audit.queues import REPLICATED, at, every, important, kind, names, number, setting, shared, some, waits
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen

SECTION = Section("As it runs now", "Queues")
ENOUGH_LEADERS = 6  # fewer say nothing about balance
FULL = 0.9  # of what consumers may hold
BOUNDS = ("max-length", "max-length-bytes", "message-ttl", "max-age")
DOWN = ("down", "stopped", "crashed", "minority", "timeout")


@SECTION.item(
    "queue-members",
    "Members of quorum queues online",
    why="A member that is away holds no copy; the next loss may stop the queue.",
    mend="Start the node; where it is gone for good: `rabbitmq-queues delete_member` and `add_member`, or shrink and grow.",
    look="Whoever runs the nodes: `rabbitmq-queues quorum_status --vhost VHOST QUEUE`.",
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
    mend="`rabbitmq-queues rebalance quorum`",
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
    ends = dead_letter_queues(seen)
    queues = [queue for queue in shared(seen) if kind(queue) != "stream" and not waits(queue) and at(queue) not in ends]
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
    why="A consumer that holds all it may and acknowledges nothing is stuck: the messages that it holds reach nobody else.",
    mend="See what the consumer waits for; restart it. Set `x-consumer-timeout` above the longest job, so that the broker takes them back.",
    look="Whoever owns the consumer: what is it doing?",
    lessons=("reference_01_reliability.md#a-prefetch-limits-what-comes-back",),
)
def unacked_at_prefetch(seen: Seen) -> Finding:
    """Queues whose consumers hold what they may, while messages wait and nothing is acknowledged."""
    may_hold: Counter[tuple[str, str]] = Counter()
    for consumer in seen["consumers"]:
        may_hold[consumer["queue"]["vhost"], consumer["queue"]["name"]] += consumer.get("prefetch_count") or 0
    queues = [queue for queue in shared(seen) if may_hold[at(queue)]]
    stuck = [
        queue
        for queue in queues
        if queue.get("messages_unacknowledged", 0) >= FULL * may_hold[at(queue)]
        and queue.get("messages_ready")
        and not queue.get("message_stats", {}).get("ack_details", {}).get("rate")
    ]
    if stuck:
        return failed(f"The consumers of {number(len(stuck), 'queue')} hold all they may, and acknowledge nothing.", names(stuck))
    if not queues:
        return unseen("Nobody consumes with a prefetch at the moment.")
    return passed(f"The consumers of {number(len(queues), 'queue')} acknowledge, or have room for more.")


@SECTION.item(
    "queue-bounds",
    "Queues that end somewhere: length or TTL",
    why="A queue without an end fills memory and disk until the alarm stops the publishers of all others, too.",
    mend="""`rabbitmqctl set_policy -p VHOST bounds '^orders$' '{"max-length": 100000, "overflow": "reject-publish"}' --apply-to queues`."""
    " A queue obeys one policy: put all its keys into that.",
    look="Whoever declares the queues: a limit that a good day does not reach, or a TTL where old messages are worth nothing.",
    lessons=("05_security.md#a-limit-is-a-door-that-can-be-full",),
)
def queue_bounds(seen: Seen) -> Finding:
    """Important queues without a limit of length and without a TTL."""
    ends = dead_letter_queues(seen)
    queues = [queue for queue in important(seen) if at(queue) not in ends]
    if not queues:
        return not_applicable("There is no queue that is shared.")
    endless = [queue for queue in queues if all(setting(queue, key) is None for key in BOUNDS)]
    if endless:
        return failed(f"{number(len(endless), 'queue', 'have', of=len(queues))} no limit of length and no TTL.", names(endless))
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
    """The counters: of the last day where Prometheus has them, else since each node started."""
    lately = "lost_lately" in seen
    counted = seen["lost_lately"] if lately else seen["metrics"]["lost"]
    when = "within a day" if lately else "since the nodes started"
    lost = {words: round(count) for words, count in counted.items() if round(count)}
    if lost:
        said = [f"{number(count, 'message')} {words}" for words, count in lost.items()]
        return failed(f"Lost {when}: {'; '.join(said)}.")
    if not lately:
        unasked = [node["name"] for node in seen["nodes"] if node.get("running") and node["name"] not in seen["metrics"]["nodes"]]
        if unasked:
            return unseen(f"Nothing {when}, as far as {some(seen['metrics']['nodes'])} know; not asked: {some(unasked)}.", unasked)
    return passed(f"No message was dropped {when} that nobody was told of.")
