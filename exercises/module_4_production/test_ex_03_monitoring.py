"""Exercise 4.3: watch the shop."""

import re
import time
from contextlib import contextmanager

import pika
import pytest
import yaml

from rabbitlab import faults, lock, management
from rabbitlab.grading import feedback
from rabbitlab.grading.prometheus import Prometheus, wait_for
from rabbitlab.nodes import ADMIN, NODES

ALERTS = {"OrdersWithoutConsumer": "critical", "DeadOrders": "warning", "NoDiskLeft": "critical"}
OF_A_QUEUE = ("OrdersWithoutConsumer", "DeadOrders")
CONSUMERS = "rabbitmq_detailed_queue_consumers"
MESSAGES = "rabbitmq_detailed_queue_messages|rabbitmq_detailed_queue_messages_ready"
DISK = "rabbitmq_alarms_free_disk_space_watermark|rabbitmq_detailed_alarms_free_disk_space_watermark"
NODE = re.compile(r"\brabbit[123]\b")
AWAY = 5  # seconds without a consumer, after which somebody shall be told
PERIOD = "Prometheus sees a metric once in each scrape_interval, and a rule sees what the last scrape brought."
LABELS = "An alert has the labels of the series that its expression selects, and those of the rule. sum, max and their like drop every "
LABELS += "label that is not named after 'by'."


@pytest.fixture(scope="module")
def prometheus():
    """Prometheus with the answer's files in it, and nobody else's, until the last check is over."""
    with lock.prometheus(), Prometheus("ex_03") as found:
        yield found


def test_prometheus_can_read_both_files(attempt, answer, prometheus):
    scrape, rules = texts(answer)
    for name, kind, text in (("scrape_config", "config", scrape), ("alert_rules", "rules", rules)):
        complaint = prometheus.complaint(kind, text)
        assert not complaint, feedback(
            saw=f"Prometheus cannot read what {name}() returns: {complaint}",
            rule="Prometheus reads all of its files or none: with one that it does not understand, it goes on with the old ones.",
            look="The line that Prometheus names, from the beginning of your text; Lesson 4.4, 'Let somebody write the numbers down'",
        )
    jobs(scrape)
    missing = [name for name in ALERTS if name not in alerts_in(rules)]
    assert not missing, feedback(
        saw=f"Prometheus can read your rules; there is no alert called {', nor '.join(missing)} among them.",
        rule="Who is told sees the alert's name first, and what is done about it goes by the name.",
        look="The docstring of alert_rules",
    )
    load(answer, prometheus)


def test_each_node_is_asked_for_what_the_rules_need(attempt, answer, prometheus):
    mine = load(answer, prometheus)
    for node in NODES:  # a queue that lives there
        with channel(attempt, port=node.amqp) as there:
            there.queue_declare(queue=node.name, durable=True, arguments={"x-queue-type": "classic"})
            there.basic_publish(exchange="", routing_key=node.name, body="1 lamp")

    def lacking():
        return [about for about in (of_queues(prometheus, mine, attempt.vhost), of_disks(prometheus, mine)) if about]

    still = wait_for(lambda: not lacking(), within=8) or lacking()
    slow = [t for t in prometheus.targets(mine) if seconds(t["scrapeInterval"]) > 2]
    assert not slow, feedback(
        saw=f"Prometheus asks {slow[0]['scrapeUrl']} every {slow[0]['scrapeInterval']}.",
        rule=PERIOD,
        look="The docstring of scrape_config: how often?",
    )
    assert still is True, feedback(
        saw=f"{trouble(prometheus, mine)}{still[0]}.",
        rule="Each node tells of itself alone, and a queue is told by the one node that leads it. /metrics has sums of a node; names of "
        "queues are in /metrics/detailed, in the families that it is asked for, of the virtual hosts that it is asked for.",
        look="Lesson 4.4, 'Ask a node for its numbers'; ./lab hint 4/ex_03; http://localhost:9090/targets",
    )


def test_it_is_silent_while_all_is_well(attempt, answer, prometheus):
    mine = load(answer, prometheus)
    attempt.declare("orders", arguments={"x-queue-type": "quorum"})
    with channel(attempt) as packer:
        packer.basic_consume(queue="orders", on_message_callback=print)
        scraped(prometheus, mine, attempt, "orders", CONSUMERS, 1)
        loud = quiet(prometheus, attempt)
        assert not loud, feedback(
            saw=f"All was well: `orders` had a consumer, and no node had an alarm. {loud} was there all the same.",
            rule="An alert is there for each series that its expression selects. An expression without a comparison selects whatever "
            "exists, and a comparison selects where it holds.",
            look=f"The expression of {loud}: try it on http://localhost:9090 while all is well",
        )
    for _ in range(3):
        gap, told = restart_the_packer(attempt, prometheus, mine)
        if gap < AWAY - 1.5 or not told:
            break
    assert not told, feedback(
        saw=f"A packer restarted: for {gap:.0f} s `orders` had no consumer. OrdersWithoutConsumer was sent.",
        rule="An alert fires as soon as its expression selects something, unless the rule says for how long it has to.",
        look="The docstring of alert_rules; Lesson 4.4, 'See it ring, and stop'; ./lab hint 4/ex_03",
    )


def test_a_queue_without_a_consumer_is_told(attempt, answer, prometheus):
    mine = load(answer, prometheus)
    attempt.declare("orders", arguments={"x-queue-type": "quorum"})

    alert_for(attempt, prometheus, "OrdersWithoutConsumer", within=15, saw="`orders` was there, empty, and had no consumer.")
    with channel(attempt) as packer:
        packer.basic_consume(queue="orders", on_message_callback=print)
        ends(attempt, prometheus, "OrdersWithoutConsumer", saw="A packer consumes from `orders` again.")
    assert mine


def test_a_dead_parcel_is_told(attempt, answer, prometheus):
    mine = load(answer, prometheus)
    with prometheus.looking_away():
        attempt.declare("orders.dead", arguments={"x-queue-type": "quorum"})
        attempt.publish("orders.dead", "a parcel that nobody can deliver")
        attempt.wait_until(lambda: reported(attempt, "orders.dead") == 1, within=10, what="the queue to report its message")

    saw = "One message was in `orders.dead` before Prometheus looked for the first time, and stayed there."
    alert_for(attempt, prometheus, "DeadOrders", within=10, saw=saw)
    with channel(attempt) as looking:
        looking.basic_get(queue="orders.dead")
        scraped(prometheus, mine, attempt, "orders.dead", "rabbitmq_detailed_queue_messages_ready", 0)
        evaluated_again(prometheus)
        assert mine_of(attempt, prometheus.active("DeadOrders")), feedback(
            saw="Somebody was looking at the message in `orders.dead`: it was delivered and not acknowledged. DeadOrders had ended.",
            rule="A message that is delivered is not ready, and in its queue until it is acknowledged.",
            look="Which messages your expression counts; Lesson 1.2",
        )
    attempt.take("orders.dead")
    ends(attempt, prometheus, "DeadOrders", saw="`orders.dead` is empty again.")


@pytest.mark.faults
def test_a_disk_alarm_is_told(attempt, answer, prometheus):
    load(answer, prometheus)
    with faults.disk_alarm("rabbit2"):
        found = wait_for(lambda: prometheus.told("NoDiskLeft"), within=10)
        assert found, feedback(
            saw="rabbit2 raised its disk alarm, and nobody in the cluster could publish. For 10 s no alert NoDiskLeft came.",
            rule="A node's alarms are metrics of that node, 0 or 1.",
            look="The expression of NoDiskLeft on localhost:9090: what does it select? Lesson 4.4, 'Write an alarm that cannot ring'",
        )
        labelled("NoDiskLeft", found)
        names = {name for labels in found for name in NODE.findall(" ".join(labels.values()))}
        assert names, feedback(
            saw=f"rabbit2 raised its disk alarm. Of NoDiskLeft, no label says which node it is about: {shown(found[0])}.",
            rule=LABELS,
            look="The expression of NoDiskLeft; which labels has the metric?",
        )
        assert names == {"rabbit2"}, feedback(
            saw=f"rabbit2 raised its disk alarm. NoDiskLeft was sent about {' and '.join(sorted(names))}.",
            rule="An alarm stops publishers everywhere, and the node that raised it has to be helped. Each node tells of its own alone.",
            look="The expression of NoDiskLeft: what does it select now?",
        )
    wait_for(lambda: not prometheus.told("NoDiskLeft"), within=10)
    assert not prometheus.told("NoDiskLeft"), feedback(
        saw="rabbit2 had room again. Ten seconds later NoDiskLeft was still there.",
        rule="An alert ends when its expression selects nothing any more, or as much later as the rule says.",
        look="The expression of NoDiskLeft: over what time does it look?",
    )


# What the answer says.


def texts(answer) -> tuple[str, str]:
    """Both texts."""
    found = answer.run(lambda mine: [mine.scrape_config(), mine.alert_rules()]).value
    for name, text in zip(("scrape_config", "alert_rules"), found, strict=True):
        what = type(text).__name__ if not isinstance(text, str) else "" if text.strip() else "an empty text"
        assert not what, feedback(
            saw=f"{name}() returned {what}.",
            rule="Prometheus reads files, and files are text.",
            look=f"Returns: in the docstring of {name}",
        )
    return found[0], found[1]


def load(answer, prometheus) -> set[str]:
    """Let Prometheus read the answer's files, if it has not; returns the names of its jobs."""
    scrape, rules = texts(answer)
    complaint = prometheus.load(scrape, rules)
    assert not complaint, feedback(
        saw=f"Prometheus refused your files: {complaint}",
        rule="Your files are read beside the course's own: no two jobs may have one name.",
        look="docker/prometheus/prometheus.yml: which names are taken?",
    )
    return jobs(scrape)


def jobs(scrape: str) -> set[str]:
    """The names of the jobs in a text that Prometheus can read."""
    found = {job.get("job_name") for job in (yaml.safe_load(scrape) or {}).get("scrape_configs") or []}
    assert found, feedback(
        saw="Prometheus can read what scrape_config() returns, and there is nothing to be scraped in it.",
        rule="Prometheus asks those whom a job under scrape_configs names, and nobody else.",
        look="The docstring of scrape_config",
    )
    return found


def alerts_in(rules: str) -> list[str]:
    groups = (yaml.safe_load(rules) or {}).get("groups") or []
    return [rule.get("alert") for group in groups for rule in group.get("rules") or []]


# What Prometheus has.


def of_queues(prometheus, mine: set[str], vhost: str) -> str:
    """Which of the queues, one on each node, the answer's jobs have brought no figures of; nothing when all is there."""
    for metrics, what in ((CONSUMERS, "how many consumers"), (MESSAGES, "how many messages")):
        found = prometheus.query(f'{{__name__=~"{metrics}", job=~"{either(mine)}", vhost="{vhost}"}}')
        missing = sorted({node.name for node in NODES} - {labels.get("queue") for labels, _ in found})
        if missing:
            return f"We made a queue on each node. Your jobs do not bring {what} those on {' and '.join(missing)} have"
    return ""


def of_disks(prometheus, mine: set[str]) -> str:
    """The same for the disk alarms of the nodes."""
    found = prometheus.query(f'{{__name__=~"{DISK}", job=~"{either(mine)}"}}')
    told = {name for labels, _ in found for name in NODE.findall(" ".join(labels.values()))}
    missing = sorted({node.name for node in NODES} - told)
    return (
        f"Your jobs do not bring whether {' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} a disk alarm" if missing else ""
    )


def trouble(prometheus, mine: set[str]) -> str:
    """What Prometheus says of a target that does not answer."""
    down = [target for target in prometheus.targets(mine) if target["health"] == "down"]
    return f"Prometheus gets nothing from {down[0]['scrapeUrl']}: {down[0]['lastError']}. " if down else ""


def scraped(prometheus, mine: set[str], attempt, queue: str, metric: str, value: float, within: float = 10) -> None:
    """Wait until the answer's jobs, and the course's own, have brought this figure of a queue."""
    selector = f'{metric}{{vhost="{attempt.vhost}", queue="{queue}"}}'

    def all_say():
        found = prometheus.query(selector)
        return found and {figure for _, figure in found} == {value}

    if not wait_for(all_say, within, every=0.05):
        raise TimeoutError(f"{selector} did not become {value} within {within} s: {prometheus.query(selector)}")
    assert mine


def reported(attempt, queue: str) -> int | None:
    """The messages of a queue, as its node tells anybody who scrapes."""
    found = [management.metrics(node, "queue_coarse_metrics", attempt.vhost).get(queue, {}) for node in NODES]
    return next((figures["queue_messages"] for figures in found if "queue_messages" in figures), None)


def quiet(prometheus, attempt) -> str:
    """The name of an alert that is there, at least pending, although all is well; nothing when all end within some seconds."""

    def loud():
        at_disks = [name for name in ("NoDiskLeft",) if prometheus.active(name)]
        return next((name for name in OF_A_QUEUE if mine_of(attempt, prometheus.active(name))), (at_disks or [""])[0])

    evaluated_again(prometheus)
    wait_for(lambda: not loud(), within=6)
    evaluated_again(prometheus)
    return loud()


def restart_the_packer(attempt, prometheus, mine: set[str]) -> tuple[float, bool]:
    """Let `orders` be without a consumer for as short as a rule can see; returns how long that was, and whether it was told."""
    began = time.time()
    scraped(prometheus, mine, attempt, "orders", CONSUMERS, 0)
    evaluated_again(prometheus)
    with channel(attempt) as packer:
        packer.basic_consume(queue="orders", on_message_callback=print)
        scraped(prometheus, mine, attempt, "orders", CONSUMERS, 1)
        evaluated_again(prometheus)
        span = int(time.time() - began) + 1
        without = [at for at, value in prometheus.samples(f'{CONSUMERS}{{vhost="{attempt.vhost}", queue="orders"}}', span) if value == 0]
        fired = prometheus.query(f'max_over_time(ALERTS{{alertname="OrdersWithoutConsumer", alertstate="firing"}}[{span}s])')
        return without[-1] - without[0] + 1, bool(mine_of(attempt, [labels for labels, _ in fired]))


def evaluated_again(prometheus) -> None:
    """Wait until all rules of the answer have been evaluated on what Prometheus has now."""
    now = time.time()
    wait_for(lambda: prometheus.evaluated() > now, within=10, every=0.05)


def alert_for(attempt, prometheus, name: str, within: float, saw: str) -> None:
    """Judge that Alertmanager gets the alert about a queue of ours, with its labels."""
    found = wait_for(lambda: mine_of(attempt, prometheus.told(name)), within, every=0.2)
    nameless = [labels for labels in prometheus.told(name) if "vhost" not in labels]
    assert found or not nameless, feedback(
        saw=f"{saw} {name} came without saying in which virtual host: {shown(nameless[0]) if nameless else ''}.",
        rule=LABELS,
        look=f"The expression of {name}; the docstring of alert_rules",
    )
    waiting = mine_of(attempt, prometheus.active(name))
    assert found, feedback(
        saw=f"{saw} After {within} s there was no alert {name}{'; it was still pending' if waiting else ''}.",
        rule="A rule whose 'for' has not passed is pending, and nobody is told."
        if waiting
        else "An expression selects series by their exact name and labels. Where there is no such series it is valid, and selects nothing; "
        "absent() asks whether there is none.",
        look=f"The expression of {name} on localhost:9090: what does it select? Lesson 4.4, 'Write an alarm that cannot ring'",
    )
    queue = "orders" if name == "OrdersWithoutConsumer" else "orders.dead"
    assert {labels.get("queue") for labels in found} == {queue}, feedback(
        saw=f"{saw} {name} came without saying which queue: {shown(found[0])}.",
        rule=LABELS,
        look=f"The expression of {name}; the docstring of alert_rules",
    )
    labelled(name, found)


def labelled(name: str, found: list[dict]) -> None:
    """Judge the severity of an alert that was sent."""
    assert {labels.get("severity") for labels in found} == {ALERTS[name]}, feedback(
        saw=f"{name} was sent with these labels: {shown(found[0])}.",
        rule="Alertmanager decides by labels who is told, and how loudly: at night, or with the post.",
        look="The docstring of alert_rules: which labels?",
    )


def ends(attempt, prometheus, name: str, saw: str) -> None:
    """Judge that the alert is gone from Alertmanager."""
    wait_for(lambda: not mine_of(attempt, prometheus.told(name)), within=10, every=0.2)
    assert not mine_of(attempt, prometheus.told(name)), feedback(
        saw=f"{saw} Ten seconds later {name} was still there.",
        rule="An alert ends when its expression selects nothing any more, or as much later as the rule says.",
        look=f"The expression of {name}: over what time does it look? And is there anything else in the rule that keeps it?",
    )


def mine_of(attempt, alerts: list[dict]) -> list[dict]:
    """Those that are about the virtual host of this attempt: other notebooks have queues `orders`, too."""
    return [labels for labels in alerts if labels.get("vhost") == attempt.vhost]


@contextmanager
def channel(attempt, **overrides):
    """A channel of the grader's own, open until the end of the with."""
    parameters = attempt.parameters(credentials=pika.PlainCredentials(*ADMIN), heartbeat=0, **overrides)
    with pika.BlockingConnection(parameters) as connection:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened


def either(names: set[str]) -> str:
    return "|".join(re.escape(name).replace("\\", "\\\\") for name in sorted(names))


def shown(labels: dict) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))


def seconds(duration: str) -> float:
    """A duration as Prometheus writes it: "1m30s", "500ms"."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h|d)", duration))
