"""Is the cluster whole? One look that costs some tens of milliseconds, by the management API and live questions only."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rabbitlab import broker, containers, management, readiness
from rabbitlab.errors import Mendable
from rabbitlab.management import path
from rabbitlab.nodes import NODES, Node

PATIENCE = 3.0  # seconds for one node's answer: a paused one never gives it
GUEST = ("guest", "guest")
LOOK = ("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9999 && echo 'show stat' >&3 && cat <&3")


def missing(*, thorough: bool = True) -> str:
    """What the cluster lacks, in one sentence; an empty string when it is whole.

    Whole means: each node runs and sees the others run, none is in maintenance mode, there is no fourth; no alarm is in force; guest can
    log in; every virtual host runs on every node; every quorum queue has a member on each
    node, all of them at work and one the leader; the load balancer sends clients to every node, and a message goes through it.

    Args:
        thorough: Without, queues and the load balancer's view of the nodes are not looked at, and no container is needed for it.
    """
    looks = (*OF_THE_NODES, alarms, guest) if thorough else (views, alarms, guest)
    for look in (*looks, readiness.message_missing):
        try:
            if found := look():
                return found
        except (Mendable, LookupError, ValueError, OSError) as error:
            return str(error) or type(error).__name__
    return ""


def views() -> str:
    """Which node does not answer, or does not see each of the three run; or a node too many, or one in maintenance mode."""
    with ThreadPoolExecutor(len(NODES)) as pool:
        seen = dict(zip(NODES, pool.map(view, NODES), strict=True))
    for node, nodes in seen.items():
        if nodes is None:
            return f"{node.name} does not answer"
    for node, nodes in seen.items():
        for other in NODES:
            if not nodes.get(other.name, {}).get("running"):
                return f"{node.name} does not see {other.name} run"
        if strangers := nodes.keys() - {known.name for known in NODES}:
            return f"{min(strangers)} is in the cluster"
    drained = sorted(name for name, told in seen[NODES[0]].items() if told.get("being_drained"))
    return f"{', '.join(drained)} in maintenance mode" if drained else ""


def view(node: Node) -> dict[str, dict] | None:
    """The nodes as *node* sees them, by short name; None when it does not answer."""
    columns = "nodes?columns=name,running,being_drained,mem_limit,disk_free_limit"
    try:
        return {told["name"].partition("@")[2]: told for told in management.ask(node, columns, PATIENCE)}
    except (OSError, ValueError, LookupError):
        return None


def users_of(node: Node) -> list[dict]:
    """The users that *node* knows of.

    Raises:
        OSError: it does not answer.
        ValueError: it refuses.
    """
    return management.ask(node, "users?columns=name", PATIENCE)


def alarms() -> str:
    """Which alarm a node knows of: publishers are blocked on all of them."""
    for node in NODES:
        if raised := raised_alarms(node):
            return f"an alarm blocks publishers: {', '.join(raised)}"
    return ""


def raised_alarms(node: Node) -> list[str]:
    """The alarms that *node* knows of, those of other nodes included: ``["memory on rabbit1"]``. Live, no statistic."""
    status, told = management.answer_of(node, "health/checks/alarms", PATIENCE)
    if status == 200:
        return []
    found = told.get("alarms", []) if isinstance(told, dict) else []
    return sorted(f"{alarm.get('resource', '?')} on {str(alarm.get('node', '?')).partition('@')[2]}" for alarm in found) or ["unknown"]


def guest() -> str:
    """Whether guest can log in and may do everything, as the lessons need it."""
    status, told = management.answer_of(NODES[0], "whoami", PATIENCE, login=GUEST)
    if status != 200:
        return "guest cannot log in"
    if "administrator" not in told["tags"]:
        return "guest is no administrator"
    try:
        allowed = broker.api(path("permissions", "/", "guest"))
    except LookupError:
        return "guest may not enter the virtual host /"
    return "" if all(allowed[what] == ".*" for what in ("configure", "write", "read")) else "guest may not do everything in /"


def virtual_hosts() -> str:
    """Which virtual host does not run on which node: for some moments after a node's start none does."""
    for vhost in broker.api("vhosts?columns=name,cluster_state"):
        for node in NODES if "name" in vhost else ():  # without a name: being deleted
            if vhost.get("cluster_state", {}).get(node.erlang_name) != "running":
                return f"virtual host {vhost['name']} does not run on {node.name}"
    return ""


def queues() -> str:
    """A queue that is down; a quorum queue without a leader, with a member too few, or with one that is not at work."""
    for queue in broker.api("queues?disable_stats=true"):
        if absent := absent_members(queue):
            return f"{named(queue)} has no member on {', '.join(absent)}"
        if queue.get("state") in ("down", "stopped", "crashed", "minority"):
            return f"{named(queue)} is {queue['state']}"
    status, _ = management.answer_of(NODES[0], "health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/.*", PATIENCE)
    if status != 200:
        return "a quorum queue has no leader"
    for node in NODES:
        status, told = management.answer_of(node, "health/checks/node-is-quorum-critical", PATIENCE)
        if status != 200:
            critical = told.get("queues", []) if isinstance(told, dict) else []
            which = ", ".join(str(queue.get("readable_name", queue.get("name", "?"))) for queue in critical[:3])
            return f"a member of a quorum queue is not at work yet ({which or 'asked of ' + node.name})"
    return ""


def absent_members(queue: dict) -> list[str]:
    """The nodes on which a quorum queue has no member."""
    if queue.get("type") != "quorum" or "members" not in queue:
        return []
    return [node.name for node in NODES if node.erlang_name not in queue["members"]]


def ended_members(queue: dict) -> list[str]:
    """The nodes on which the member of a quorum queue is not at work. Asks each member: the queue's own list of those online may be old."""
    if queue.get("type") != "quorum":
        return []
    try:
        told = broker.api(path("queues", "quorum", queue["vhost"], queue["name"], "status"))
    except LookupError:
        return []  # it was deleted meanwhile
    ended = {member["Node Name"] for member in told if member["Raft State"] == "noproc"}
    return [node.name for node in NODES if node.erlang_name in ended]


def named(queue: dict) -> str:
    """A queue in a sentence."""
    where = "" if queue.get("vhost") == "/" else f" of the virtual host {queue.get('vhost')}"
    return f"queue {queue['name']}{where}"


def load_balancer() -> str:
    """Which node the load balancer sends nobody to."""
    if containers.state("haproxy") != "running":
        return "haproxy does not run"
    # "UP 1/2" is up by one check of two: it may be about to leave the node out.
    up = {name for name, status in traffic().items() if status == "UP"}
    down = [node.name for node in NODES if node.name not in up]
    return f"the load balancer sends nobody to {', '.join(down)}" if down else ""


def traffic() -> dict[str, str]:
    """What the load balancer thinks of each node: ``{"rabbit1": "UP", ...}``; empty where it does not tell."""
    try:
        rows = [line.split(",") for line in containers.run("haproxy", *LOOK).splitlines() if line]
        heads = rows[0]
        name, status = heads.index("svname"), heads.index("status")
    except (Mendable, IndexError, ValueError):
        return {}
    return {row[name]: row[status] for row in rows[1:] if row[0] == "nodes" and row[name] != "BACKEND"}


# What can be wrong with a cluster whose containers all run; alarms and users have their own place in ./lab doctor.
OF_THE_NODES: tuple[Callable[[], str], ...] = (views, virtual_hosts, queues, load_balancer)
