"""Production readiness: error handling."""

from collections import defaultdict

from rabbitlab.audit import rules
from rabbitlab.audit.letters import Letters
from rabbitlab.audit.queues import DEAD, Place, Queue, at, every, expires, important, kind, names, number, ruled, setting, shared, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen
from rabbitlab.audit.versions import since

SECTION = Section("Production readiness", "Error handling")
NO_QUEUES = "There is no queue that is shared."
EMPTY_THEN_DISABLE = (
    "Let programs publish to waiting queues with a TTL in its place, and to its exchanges no more. Wait until nothing is delayed"
    " there, delete the exchanges, then `rabbitmq-plugins disable rabbitmq_delayed_message_exchange`: what is still delayed then is lost."
)
LIMIT_REJECTED = (
    "Quorum queues without `x-delivery-limit: -1`, `basic_reject` for what failed, and a count of your own where your program republishes."
)
LIMIT_BY_POLICY = (
    """`rabbitmqctl set_policy -p VHOST limit '^orders$' '{"delivery-limit": 20, "dead-letter-exchange": "dead"}' --apply-to queues`:"""
    " before 4.0 a quorum queue has no limit of its own. A queue obeys one policy: put all its keys into that."
)
LIMIT = 20  # of a quorum queue that is told nothing else, since RabbitMQ 4.0
DEAD_ONLY = "There are queues of dead letters, and no others."


@SECTION.item(
    "dead-letter-exchanges",
    "Dead letter exchanges configured",
    why="Since RabbitMQ 4.0 a quorum queue drops a message that failed 21 times; without a dead letter exchange it does so in silence."
    " A classic queue tries for ever.",
    mend="""`rabbitmqctl set_policy -p VHOST dead '^orders$' '{"dead-letter-exchange": "dead"}' --apply-to queues`."""
    " A queue obeys one policy: put all its keys into that.",
    look="Whoever declares the queues: each has a dead letter exchange, by policy or argument, and a queue bound to that.",
    lessons=("02_dead_letter_exchanges.md#name-a-place-for-what-is-given-up",),
    deployment="DLX for error handling",
)
def dead_letter_exchanges(seen: Seen) -> Finding:
    """Important queues without one; streams and the queues of dead letters themselves need none."""
    ends = dead_letter_queues(seen)
    queues = [queue for queue in ruled(seen, important(seen)) if kind(queue) != "stream" and at(queue) not in ends]
    if not queues:
        return not_applicable(NO_QUEUES if not ends else DEAD_ONLY)
    without = [queue for queue in queues if setting(queue, "dead-letter-exchange") is None]
    if without:
        quorum = sum(kind(queue) == "quorum" and _limit(seen, queue) is not None for queue in without)
        drops = f"Quorum queues among them, which drop what fails: {quorum}." if quorum else "What fails there comes back for ever."
        return failed(f"{number(len(without), 'queue', 'have', of=len(queues))} no dead letter exchange. {drops}", names(without))
    return passed(f"{every(len(queues), 'queue', 'have')} a dead letter exchange.")


@SECTION.item(
    "dead-letters-kept",
    "Dead letters that are not lost themselves",
    why="By default a dead letter is sent once and not looked after: if no queue takes it, it is gone."
    " At-least-once takes four settings together.",
    mend="""A quorum queue with `"dead-letter-exchange"`, `"dead-letter-strategy": "at-least-once"` and"""
    """ `"overflow": "reject-publish"`, all in the one policy that a queue obeys.""",
    look="Whoever declares the queues: read the four settings from `rabbitmqctl list_queues name arguments effective_policy_definition`.",
    lessons=("reference_02_dead_letter_exchanges.md#a-dead-letter-can-be-lost-on-its-way-and-four-settings-prevent-it",),
)
def dead_letters_kept(seen: Seen) -> Finding:
    """Dead letters that reach no queue, at-least-once that was asked for in vain, and at-most-once."""
    queues = [queue for queue in ruled(seen, important(seen)) if setting(queue, "dead-letter-exchange") is not None]
    if not queues:
        return not_applicable("No queue has a dead letter exchange.")
    letters = Letters.of(seen)
    nowhere = [queue for queue in queues if not letters.exchange_exists(queue) or not letters.targets(queue)]
    if nowhere:
        saw = f"The dead letters of {number(len(nowhere), 'queue')} reach no queue: exchange, binding or queue is missing."
        return failed(saw, names(nowhere), "Declare the exchange and the queue of dead letters, and bind the one to the other.")
    asked = [queue for queue in queues if setting(queue, "dead-letter-strategy") == "at-least-once"]
    in_vain = [queue for queue in asked if kind(queue) != "quorum" or setting(queue, "overflow") != "reject-publish"]
    if in_vain:
        saw = f"{number(len(in_vain), 'queue', 'ask')} for at-least-once in vain, and nobody is told."
        return failed(saw, names(in_vain), """It takes a quorum queue and "overflow": "reject-publish" beside it.""")
    once = [queue for queue in queues if queue not in asked]
    if once:
        return failed(f"{number(len(once), 'queue', 'send', of=len(queues))} each dead letter once, without looking after it.", names(once))
    return passed(f"{number(len(queues), 'queue', 'send')} dead letters until they have arrived, and there is a queue for them.")


@SECTION.item(
    "retry-backoff",
    "Retry with exponential backoff",
    why="What failed a moment ago fails again. Tries without a growing wait keep the processors busy and the broken service down.",
    mend="A waiting queue for each delay (1 s, 2 s, 4 s ...) with a message TTL and a dead letter exchange that leads"
    " back; publish there, then ack.",
    look="Whoever writes the consumers: what happens to a message whose handler fails, and how long until it is tried again?",
    lessons=("02_dead_letter_exchanges.md#try-again-later-and-not-for-ever", "reference_02_dead_letter_exchanges.md#which-retry-to-take"),
)
def retry_backoff(seen: Seen) -> Finding:
    """Waiting queues and their delays; the delayed retry of quorum queues."""
    queues = ruled(seen, shared(seen))
    if not queues:
        return not_applicable(NO_QUEUES)
    letters = Letters.of(seen)
    delays: dict[str, set[int]] = defaultdict(set)  # of each queue that waiting queues lead to
    loops = []
    for room in filter(letters.waits, queues):
        for work in filter(letters.works, letters.targets(room)):
            delays[names([work])[0]].add(int(setting(room, "message-ttl")))
            if any(target is room for target in letters.targets(work)):
                loops.append((work, room))
    grows = {queue for queue, each in delays.items() if len(each) > 1}
    flat = [f"{names([work])[0]} and {names([room])[0]}" for work, room in loops if names([work])[0] not in grows]
    if flat:
        return failed("Messages go round between a queue and a waiting room of one delay, which never grows and never ends.", flat)
    if grows:
        waited = "; ".join(f"{queue} after {', '.join(_seconds(each) for each in sorted(delays[queue]))}" for queue in sorted(grows)[:3])
        return passed(f"Waiting queues of growing delay lead back: {waited}.", sorted(grows))
    linear = [queue for queue in queues if _delays(queue)]
    if linear:
        return passed(f"{number(len(linear), 'quorum queue')} with delayed retry, which is linear and needs basic_reject.", names(linear))
    if delays:
        return unseen("There are waiting queues of one delay each, which may be a retry, or a deadline.", sorted(delays))
    return unseen("There is no waiting queue that leads to work, and no quorum queue with delayed retry.")


@SECTION.item(
    "delayed-message-plugin",
    "The plugin for delayed messages",
    why="It held messages back in an exchange."
    " It was archived in 2026, and kept them in Mnesia, on one node, which RabbitMQ 4.3 has removed.",
    mend=EMPTY_THEN_DISABLE,
    look="Whoever declares the exchanges: none is of type `x-delayed-message`.",
    lessons=("reference_02_dead_letter_exchanges.md#quorum-queues-can-wait-before-a-retry-linearly",),
)
def delayed_message_plugin(seen: Seen) -> Finding:
    """Exchanges of its type, and nodes where it is enabled."""
    exchanges = [exchange for exchange in seen["exchanges"] if exchange.get("type") == "x-delayed-message"]
    nodes = [node["name"] for node in seen["nodes"] if "rabbitmq_delayed_message_exchange" in node.get("enabled_plugins", [])]
    if exchanges or nodes:
        saw = f"{number(len(exchanges), 'exchange')} of its type, and {number(len(nodes), 'node')} where it is enabled."
        return failed(
            saw, names(exchanges) + nodes, f"{EMPTY_THEN_DISABLE} For retries there is delayed retry." if since(seen, 4, 3) else None
        )
    return not_applicable("Obsolete, and not in use here: no exchange is of its type.")


@SECTION.item(
    "retry-limits",
    "Maximum retry limits",
    why="A message that always fails comes back for ever, and keeps others waiting."
    " A quorum queue counts to 20 since RabbitMQ 4.0, and since 4.3 does not count `basic_nack`.",
    mend="Quorum queues without `x-delivery-limit: -1`, and a count of your own where your program republishes.",
    look="Whoever writes the consumers: a message whose handler always fails ends in the queue of dead letters, after a"
    " known number of tries.",
    lessons=(
        "reference_02_dead_letter_exchanges.md#what-counts-as-a-failure-and-what-does-not",
        "reference_02_dead_letter_exchanges.md#count-from-x-death-only-where-no-client-publishes",
    ),
)
def retry_limits(seen: Seen) -> Finding:
    """Quorum queues without a delivery limit; classic queues never have one, and queues of dead letters need none.

    Who looks at a dead letter puts it back, and a limit would throw it away after some looks.
    """
    ends = dead_letter_queues(seen)
    queues = [queue for queue in ruled(seen, important(seen)) if kind(queue) != "stream" and at(queue) not in ends]
    if not queues:
        return not_applicable(NO_QUEUES if not ends else DEAD_ONLY)
    quorum = [queue for queue in queues if kind(queue) == "quorum"]
    endless = [queue for queue in quorum if _limit(seen, queue) is None]
    if endless:
        mend = LIMIT_REJECTED if since(seen, 4, 3) else None if since(seen, 4) else LIMIT_BY_POLICY
        return failed(f"{number(len(endless), 'quorum queue', 'have', of=len(quorum))} no delivery limit.", names(endless), mend)
    classic = [queue for queue in queues if kind(queue) != "quorum"]
    if classic:
        saw = f"{number(len(classic), 'classic queue', 'count', of=len(queues))} nothing: the limit is up to the consumers."
        return unseen(saw, names(classic))
    limits = some(map(str, sorted({_limit(seen, queue) or 0 for queue in quorum})), 5)
    uncounted = "; basic_nack is not counted" if since(seen, 4, 3) else ""
    return passed(f"{number(len(quorum), 'quorum queue')}, with a delivery limit of {limits}{uncounted}.")


@SECTION.item(
    "failed-message-alerts",
    "Alerting on failed messages",
    why="It is the main alert: everything else is a hint that something might be wrong, and a failed message is wrong.",
    mend='An alert on `rabbitmq_detailed_queue_messages_ready{queue=~".+[.]dead"} > 0`, as in `docker/prometheus/rules/queues.yml`.',
    look="Whoever runs Prometheus: give its address to the audit with `--prometheus`.",
    lessons=("04_monitoring.md#see-it-ring-and-stop",),
)
def failed_message_alerts(seen: Seen) -> Finding:
    """Alerts about dead letters, and whether they can ring."""
    about = [rule for rule in seen["rules"] if rules.on_failed(rule)]
    if not about:
        return failed(f"Of {number(len(seen['rules']), 'alert')}, none is about messages that failed.")
    heard = [rule["name"] for rule in about if not rules.mute(rule, seen)]
    if not heard:
        return failed("What is there can never ring.", [f"{rule['name']}: {rules.mute(rule, seen)}" for rule in about])
    return passed(f"{number(len(heard), 'alert')} about messages that failed.", heard)


def dead_letter_queues(seen: Seen) -> set[Place]:
    """Where dead letters end: a queue without a way on that is called so, or that nothing else reaches and nobody consumes.

    What may as well be work is none of them: work that is taken for a dead letter would be asked nothing.
    """
    ends: set[Place] = seen.once("dead letter queues", _ends)
    return ends


def _ends(seen: Seen) -> set[Place]:
    letters = Letters.of(seen)
    queues = ruled(seen, shared(seen))
    ends = {at(queue) for queue in queues if setting(queue, "dead-letter-exchange") is None and DEAD.search(queue["name"])}
    sources = {letters.way(queue): queue for queue in queues if queue.get("consumers") and not expires(queue)}
    for source in sources.values():
        for target in ruled(seen, letters.targets(source)):
            if setting(target, "dead-letter-exchange") is None and not target.get("consumers") and letters.only_dead(target):
                ends.add(at(target))
    return ends


def _limit(seen: Seen, queue: Queue) -> int | None:
    """Its delivery limit, or None where it has none."""
    told = queue.get("delivery_limit")
    if told is None:  # before 4.0 nothing is told, and there is none by default
        told = setting(queue, "delivery-limit")
    if told is None and since(seen, 4):
        return LIMIT
    return int(told) if isinstance(told, int) and told >= 0 else None


def _delays(queue: Queue) -> bool:
    told = queue.get("delayed_retry") or setting(queue, "delayed-retry-type") or "disabled"
    return told != "disabled"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"
