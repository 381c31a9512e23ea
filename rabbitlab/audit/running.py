"""What a checklist does not ask, and a cluster that runs shows: its queues and nodes as they are now."""

from collections import Counter
from datetime import date

from rabbitlab.audit.error_handling import dead_letter_queues
from rabbitlab.audit.queues import REPLICATED, Queue, every, important, kind, names, number, setting, shared, some, waits
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen
from rabbitlab.audit.versions import AS_OF, GOOD_UNTIL, NEWEST, PAGE, version

QUEUES = Section("As it runs now", "Queues")
NODES = Section("As it runs now", "Nodes")
ENOUGH_LEADERS = 6  # fewer say nothing about balance
FULL = 0.9  # of what consumers may hold
NEAR = 0.8  # of a watermark


@QUEUES.item(
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
    down = [queue for queue in seen["queues"] if queue.get("state") in ("down", "stopped", "crashed", "minority", "timeout")]
    if away or down:
        said = [f"{number(len(away), 'queue', 'miss')} a member"] if away else []
        said += [f"{number(len(down), 'queue', 'do')} not run"] if down else []
        return failed(f"{'; '.join(said)}.", dict.fromkeys(names(away + down)))
    if not queues:
        return not_applicable("There is no queue with members.")
    return passed(f"All members of {number(len(queues), 'queue')} are online.")


@QUEUES.item(
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


@QUEUES.item(
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
    queues = [queue for queue in shared(seen) if kind(queue) != "stream" and not waits(queue) and _at(queue) not in ends]
    stuck = [queue for queue in queues if queue.get("messages_ready") and not queue.get("consumers")]
    if stuck:
        waiting = sum(queue["messages_ready"] for queue in stuck)
        return failed(f"{number(waiting, 'message', 'wait')} in {number(len(stuck), 'queue')} that nobody consumes.", names(stuck))
    return passed(f"Of {number(len(queues), 'queue')}, each that holds messages has a consumer.")


@QUEUES.item(
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
    lying = [queue for queue in seen["queues"] if _at(queue) in ends and queue.get("messages")]
    if lying:
        total = sum(queue["messages"] for queue in lying)
        return failed(f"{number(total, 'message')} that failed lie in {number(len(lying), 'queue')}.", names(lying))
    return passed(f"{number(len(ends), 'queue')} of dead letters, and all are empty.")


@QUEUES.item(
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
    queues = [queue for queue in shared(seen) if may_hold[_at(queue)]]
    stuck = [
        queue
        for queue in queues
        if queue.get("messages_unacknowledged", 0) >= FULL * may_hold[_at(queue)]
        and queue.get("messages_ready")
        and not queue.get("message_stats", {}).get("ack_details", {}).get("rate")
    ]
    if stuck:
        return failed(f"The consumers of {number(len(stuck), 'queue')} hold all they may, and acknowledge nothing.", names(stuck))
    if not queues:
        return unseen("Nobody consumes with a prefetch at the moment.")
    return passed(f"The consumers of {number(len(queues), 'queue')} acknowledge, or have room for more.")


@QUEUES.item(
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
    queues = [queue for queue in important(seen) if _at(queue) not in ends]
    if not queues:
        return not_applicable("There is no queue that is shared.")
    endless = [queue for queue in queues if all(setting(queue, key) is None for key in BOUNDS)]
    if endless:
        return failed(f"{number(len(endless), 'queue', 'have', of=len(queues))} no limit of length and no TTL.", names(endless))
    return passed(f"{every(len(queues), 'queue', 'have')} a limit of length or a TTL.")


@QUEUES.item(
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


@NODES.item(
    "alarms",
    "No alarm, and room before the next",
    why="An alarm of memory or disk on one node stops the publishers of the whole cluster.",
    mend="Let consumers catch up, or purge what is not needed; give the node more memory or disk. Then find out which queue it was.",
    look="Whoever runs the nodes: `rabbitmq-diagnostics alarms`, and its `memory_breakdown`.",
    lessons=("reference_06_operations.md#a-node-has-less-than-its-machine",),
)
def alarms(seen: Seen) -> Finding:
    """Alarms, memory near its watermark, little disk above its limit, files near their limit."""
    nodes = [node for node in seen["nodes"] if node.get("running")]
    raised = [f"{node['name']}: {what}" for node in nodes for what, flag in ALARMS.items() if node.get(flag)]
    if raised:
        return failed(f"{number(len(raised), 'alarm')}: publishers wait in the whole cluster.", raised)
    near = [node["name"] for node in nodes if node.get("mem_limit") and node.get("mem_used", 0) > NEAR * node["mem_limit"]]
    near += [node["name"] for node in nodes if node.get("disk_free_limit") and node.get("disk_free", 0) < 2 * node["disk_free_limit"]]
    near += [node["name"] for node in nodes if node.get("fd_total") and node.get("fd_used", 0) > NEAR * node["fd_total"]]
    if near:
        return failed(f"{number(len(set(near)), 'node', 'are')} near a limit of memory, disk or files.", dict.fromkeys(near))
    memory = max((node.get("mem_used", 0) / node["mem_limit"] for node in nodes if node.get("mem_limit")), default=0)
    return passed(f"No alarm; at most {memory:.0%} of the memory before the watermark is used.")


@NODES.item(
    "supported-version",
    "A series that is supported",
    why="A hole that is known is mended in the newest series, and in no other.",
    mend="Upgrade one series at a time, with every stable feature flag on beforehand, one node after another.",
    look=f"Whoever runs the nodes: {PAGE} names the newest patch of each series, and until when it is supported.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def supported_version(seen: Seen) -> Finding:
    """Series against a table, and nodes of different versions."""
    told = str(seen["overview"]["rabbitmq_version"])
    every = Counter(_version_of(node) for node in seen["nodes"] if node.get("running") and _version_of(node))
    if len(every) > 1:
        return failed("The nodes are of different versions, as during an upgrade.", [f"{each}: {count}" for each, count in every.items()])
    series, newest = version(told)[:2], ".".join(map(str, NEWEST))
    if series < NEWEST:
        return failed(f"{told}; the series that gets patches is {newest}. A contract may say otherwise.")
    today: date = seen["today"]
    if series > NEWEST or today > GOOD_UNTIL:
        return unseen(f"{told}; this audit knows series up to {newest}, as of {AS_OF:%B %Y}.")
    return passed(f"{told}, of the series that gets patches (as of {AS_OF:%B %Y}); is it the newest patch?")


@NODES.item(
    "feature-flags",
    "Feature flags on",
    why="A stable flag that is off keeps new behaviour away, and the next upgrade from starting.",
    mend="`rabbitmqctl enable_feature_flag all`, once all nodes are of one version.",
    look="Whoever runs the nodes: `rabbitmqctl list_feature_flags`.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def feature_flags(seen: Seen) -> Finding:
    """Stable flags that are off."""
    off = [flag["name"] for flag in seen["feature_flags"] if flag.get("stability") == "stable" and flag.get("state") != "enabled"]
    if off:
        return failed(f"{number(len(off), 'stable flag', 'are', of=len(seen['feature_flags']))} off.", off)
    return passed("Every stable feature flag is on.")


@NODES.item(
    "deprecated-features",
    "No deprecated feature in use",
    why="What is deprecated is refused by one of the next series, and then a program stops on the day of the upgrade.",
    mend="`rabbitmqctl list_deprecated_features` names them; change the program or the declaration.",
    look="Whoever runs the nodes: `rabbitmq-diagnostics check_if_any_deprecated_features_are_used`.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def deprecated_features(seen: Seen) -> Finding:
    """Those that the cluster says are used."""
    used = [feature["name"] for feature in seen["deprecated_used"]]
    if used:
        return failed(f"{number(len(used), 'deprecated feature')} in use.", used)
    return passed("None is in use.")


@NODES.item(
    "anonymous-login",
    "No anonymous login",
    why="A client that gives no name is let in as the default user, wherever that one still exists.",
    mend="`auth_mechanisms.1 = PLAIN` in `rabbitmq.conf`, or `anonymous_login_user = none`.",
    look="Whoever keeps `rabbitmq.conf`: auth_mechanisms names no `ANONYMOUS`, or `anonymous_login_user = none`.",
    lessons=("reference_05_security.md#anonymous-login-is-off",),
)
def anonymous_login(seen: Seen) -> Finding:
    """Nodes where the mechanism is on, and somebody whom it logs in."""
    on = [node["name"] for node in seen["nodes"] if any(_anonymous(each) for each in node.get("auth_mechanisms", []))]
    if not any(node.get("auth_mechanisms") for node in seen["nodes"]):
        return unseen("The nodes do not show their mechanisms.")
    if not on:
        return passed("No node lets a client in without a name.")
    config = seen.get("config", {})
    if config.get("anonymous_login_user") == "none":
        return passed("The mechanism is on, and the configuration says that it logs nobody in.")
    name = config.get("anonymous_login_user", "guest")
    if "users" in seen and all(user["name"] != name for user in seen["users"]):
        return passed(f"The mechanism is on, but the user {name}, whom it would log in, does not exist.")
    return failed(f"{number(len(on), 'node', 'let')} a client in without a name.", on)


@NODES.item(
    "certificates",
    "Certificates good for another month",
    why="On the day that a certificate runs out, nobody connects any more, all at once.",
    mend="Renew it, and restart the nodes in turn.",
    look="Whoever runs the nodes: `GET /api/health/checks/certificate-expiration/1/months` on each node, and an alert on it.",
    lessons=("reference_05_security.md#certificates-run-out-on-a-day-that-you-can-know",),
)
def certificates(seen: Seen) -> Finding:
    """What the node that we ask says of its own; the others would have to be asked, too."""
    if not any(listener.get("tls") or "ssl" in listener["protocol"] for listener in seen["listeners"]):
        return not_applicable("No listener has a certificate.")
    if seen["certificates"]:
        return failed(f"{seen['overview'].get('node', 'The node that was asked')} says: {seen['certificates']}.")
    others = [node["name"] for node in seen["nodes"] if node["name"] != seen["overview"].get("node")]
    if others:
        return unseen(f"Those of {seen['overview'].get('node')} are good; not asked: {some(others)}.", others)
    return passed("Those of the node are good for a month at least.")


ALARMS = {"memory": "mem_alarm", "disk": "disk_free_alarm"}
BOUNDS = ("max-length", "max-length-bytes", "message-ttl", "max-age")


def _at(queue: Queue) -> tuple[str, str]:
    return queue["vhost"], queue["name"]


def _version_of(node: dict) -> str:
    """RabbitMQ's version on a node; nodes before 3.13 tell it among their applications."""
    told = node.get("rabbitmq_version")
    return str(told or next((each["version"] for each in node.get("applications", []) if each.get("name") == "rabbit"), ""))


def _anonymous(mechanism: dict) -> bool:
    return mechanism.get("name") == "ANONYMOUS" and bool(mechanism.get("enabled"))
