"""What is broken, and how each thing is mended. A mender looks first, mends what it can by now, and says what it did."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from rabbitlab import broker, cluster, containers, lock, management, users, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.limits import LIMITS
from rabbitlab.management import path
from rabbitlab.nodes import ADMIN, NODES, PROFILES, Node

STARTED = "{} had ended: started"
EVAL = ("rabbitmqctl", "--quiet", "eval")
BOOTED = 30  # seconds in which a node that was started answers
FOURTH = "rabbit4"  # of docker-compose.yml, for as long as lesson 4.3 needs it


def containers_of_a_copy_that_is_gone() -> list[str]:
    """Remove what has ended and cannot start again, since the copy of the course whose files it mounts was moved or deleted."""
    stopped = {service: one.folder for service, one in cluster.containers().items() if one.state != "running"}
    gone = {service: folder for service, folder in stopped.items() if _is_gone(folder / "docker-compose.yml")}
    for service in gone:
        with containers.speaking_plainly():
            containers.of(service).remove(force=True)
    return [f"{service} mounted files of {folder}, which is gone: removed" for service, folder in gone.items()]


def _is_gone(file: Path) -> bool:
    """Whether there is no such file; one that we may not look at is somebody's."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def missing_containers() -> list[str]:
    """Make again what has no container."""
    there = containers.all_of_them()
    absent = [service for service in cluster.SERVICES if service not in there]
    if absent:
        cluster.compose("up", "--detach", "--no-recreate", "--no-deps", *absent, capture=True, check=True)
    return [f"{service} had no container: made again" for service in absent]


def containers_at_rest() -> list[str]:
    """Let go on what is paused, start what has ended. What runs on request may have ended, and is paused by who has its lock."""
    done = []

    def mend(service: str) -> None:
        with containers.speaking_plainly():
            done.append(wake(there[service]).format(service))

    there = containers.all_of_them()
    at_rest = [service for service in cluster.SERVICES if service in there and there[service].status != "running"]
    on_request = [] if lock.prometheus_is_taken() else [service for services in PROFILES.values() for service in services]
    at_rest += [service for service in on_request if service in there and there[service].status == "paused"]
    containers.each(mend, at_rest)
    return sorted(sentence for sentence in done if sentence)


def wake(container) -> str:
    """Let one container go on, or start it; says what was done, with braces for the name of the service."""
    if container.status == "paused":
        container.unpause()
        return "{} was paused: goes on"
    if container.status in ("exited", "created", "dead"):
        container.start()
        return STARTED
    return ""


def networks() -> list[str]:
    """Connect what was cut off."""
    return [
        f"{service} was off the network {network}: connected" for service in cluster.SERVICES for network in containers.reconnect(service)
    ]


def strange_containers() -> list[str]:
    """Remove the container of a fourth node, with what it stored."""
    strangers = {service: found for service, found in containers.all_of_them().items() if service == FOURTH}
    for container in strangers.values():
        with containers.speaking_plainly():
            container.remove(force=True, v=True)
    return [f"{service} was left over: removed" for service in strangers]


def load_balancer() -> list[str]:
    """Start the load balancer again where it does not tell what it does, as with an older configuration."""
    if containers.state("haproxy") == "running" and not wholeness.traffic():
        with containers.speaking_plainly():
            containers.of("haproxy").restart()
        return ["haproxy did not tell which nodes get traffic: started again"]
    return []


def administrator() -> list[str]:
    """Bring back the users of docker/rabbitmq/definitions.json where the lab's own is gone: without it, nothing can be looked at."""
    for node in NODES:
        if _status_of_login(node, ADMIN) == 401:
            return _import_users(node, ADMIN[0])
    return []


def partition() -> list[str]:
    """Let nodes that answer and do not see each other meet again."""
    seen = {node: wholeness.view(node) for node in NODES}
    answering = [node for node, nodes in seen.items() if nodes]
    apart = [node for node in answering if any(not seen[node].get(other.name, {}).get("running") for other in answering)]
    if not apart:
        return []
    reunite(answering)
    return [f"{', '.join(node.name for node in apart)} did not see each other: connected"]


def strange_members() -> list[str]:
    """Take a fourth node out of the cluster."""
    asked, nodes = _one_view()
    strangers = sorted(nodes.keys() - {node.name for node in NODES})
    for stranger in strangers:
        containers.run(asked.name, "rabbitmqctl", "--quiet", "forget_cluster_node", f"rabbit@{stranger}")
    return [f"{stranger} was left in the cluster: taken out" for stranger in strangers]


def maintenance() -> list[str]:
    """Bring nodes back from maintenance mode."""
    _, nodes = _one_view()
    drained = [node.name for node in NODES if nodes.get(node.name, {}).get("being_drained")]
    if not nodes:
        drained = [node.name for node in NODES if _answers_nobody(node.name)]
    containers.each(lambda name: containers.run(name, "rabbitmq-upgrade", "--quiet", "revive"), drained)
    return [f"{name} was in maintenance mode: serves again" for name in drained]


def _answers_nobody(service: str) -> bool:
    """Whether a node that has long been up says it is in maintenance mode: then it takes no connections, those of the API included."""
    if containers.seconds_up(service) < BOOTED:
        return False
    drained = "rabbit_maintenance:is_being_drained_local_read(node())."
    try:
        return containers.run(service, *EVAL, drained) == "true"
    except Mendable:
        return False  # it is not up inside


def limits() -> list[str]:
    """Set the limits of memory and disk as rabbitmq.conf has them, where a node has others."""
    done = []
    for node in NODES:
        told = (wholeness.view(node) or {}).get(node.name, {})
        for limit in LIMITS:
            if told.get(limit.column, limit.bytes) != limit.bytes:
                limit.restore(node.name)
                done.append(f"{node.name} had another {limit.name}: restored")
    return done


def people() -> list[str]:
    """Bring back users that a fault deleted, and guest as the lessons need it."""
    if not _serves_metadata():
        return []
    done = []
    for name in users.kept():
        users.restore(name)
        done.append(f"user {name} was deleted: is back")
    if wholeness.guest():
        done += _import_users(NODES[0], "guest")
    return done


def members() -> list[str]:
    """Give each quorum queue a member on each node."""
    if not _serves_metadata():
        return []
    done = []
    for queue in broker.api("queues?disable_stats=true"):
        for node in wholeness.absent_members(queue):
            target = path("queues", "quorum", queue["vhost"], queue["name"], "replicas", "add")
            management.api(target, "POST", {"node": f"rabbit@{node}"})
            done.append(f"{wholeness.named(queue)} had no member on {node}: has one")
    return done


def members_that_ended() -> list[str]:
    """Start the member of a quorum queue that does not run on a node that does, as after a declaration that ended with 541."""
    if not _serves_metadata():
        return []
    done = []
    for queue in broker.api("queues?disable_stats=true"):
        for node in wholeness.ended_members(queue):
            name = f"rabbit_misc:r(<<{json.dumps(queue['vhost'])}>>, queue, <<{json.dumps(queue['name'])}>>)"
            recover = f"{{ok, Q}} = rabbit_amqqueue:lookup({name}), rabbit_quorum_queue:recover(<<{json.dumps(queue['vhost'])}>>, [Q])."
            containers.run(node, *EVAL, recover)
            done.append(f"{wholeness.named(queue)} had a member that had ended on {node}: started")
    return done


def _one_view() -> tuple[Node, dict[str, dict]]:
    """A node that answers, and the nodes as it sees them; the first node and nothing when none does."""
    for node in NODES:
        if nodes := wholeness.view(node):
            return node, nodes
    return NODES[0], {}


def _serves_metadata() -> bool:
    """Whether users and queues can be changed: each node runs and sees the others."""
    return not wholeness.views()


def _status_of_login(node: Node, login: tuple[str, str]) -> int:
    """The HTTP status with which *node* answers this login; 0 when it does not."""
    try:
        return management.answer_of(node, "whoami", wholeness.PATIENCE, login=login)[0]
    except OSError:
        return 0


def _import_users(node: Node, missed: str) -> list[str]:
    containers.run(node.name, "rabbitmqctl", "--quiet", "import_definitions", "/etc/rabbitmq/definitions.json")
    return [f"user {missed} was missing or changed: as in definitions.json again"]


def reunite(nodes: Iterable[Node] = NODES) -> None:
    """Let *nodes* know the others by the right Erlang cookie again, and connect to them."""
    peers = erlang_list(NODES)
    join = "begin erlang:set_cookie(P, erlang:get_cookie()), net_kernel:connect_node(P) end"
    containers.each(
        lambda node: containers.run(node.name, *EVAL, f"[{join} || P <- {peers}, P =/= node()]."),
        [node for node in nodes if containers.state(node.name) == "running"],
    )


def erlang_list(nodes: Iterable[Node]) -> str:
    """The nodes as a list in Erlang."""
    return f"[{', '.join(node.erlang_name for node in nodes)}]"


# In this order: containers first, then the nodes in them, then what the nodes agree on. Each looks first, and mends what it can by now.
MENDERS: tuple[Callable[[], list[str]], ...] = (
    containers_of_a_copy_that_is_gone,
    missing_containers,
    containers_at_rest,
    networks,
    strange_containers,
    load_balancer,
    administrator,
    partition,
    strange_members,
    maintenance,
    limits,
    people,
    members,
    members_that_ended,
)
