"""Production readiness: high availability."""

from rabbitlab.audit.queues import REPLICATED, Queue, every, important, kind, names, number, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen
from rabbitlab.audit.versions import since

SECTION = Section("Production readiness", "High availability")
FEWEST = 3
MANY_CONNECTIONS = 10  # so many on one of three nodes are no accident
MIGRATE = (
    "Until then the copies are real, so migrate first: declare quorum queues, and move programs and messages there."
    " Then set the policy again without its `ha-*` keys, and keep the others."
)
SPLIT = (
    "Mend the network, and choose the part to keep: the one with most clients and messages."
    " Take what only the other parts' classic queues hold out of there first: it will be lost."
    " Then stop all nodes of the other parts, start them, and restart those of the kept part in turn."
)
PARTITION_KEY = "cluster_partition_handling"  # others begin with it
TWO_NODES = "Of two nodes none is in the majority when they are cut apart: have three nodes first, and set the strategy then."


@SECTION.item(
    "odd-nodes",
    "Odd number of nodes, 3 or more",
    why="A majority of the nodes must be up, since RabbitMQ 4.3 also to declare anything."
    " Three nodes survive the loss of one; four survive no more than three do.",
    mend="`rabbitmqctl join_cluster`, or `forget_cluster_node` for one that is gone for good; start what is stopped.",
    look="Whoever runs the nodes: `rabbitmqctl cluster_status` on each.",
    lessons=("03_clustering.md#two-of-three-go-on-one-of-three-does-not",),
    deployment="HA cluster, 3 nodes or more",
)
def odd_nodes(seen: Seen) -> Finding:
    """Number of nodes, and those that do not run."""
    nodes = seen["nodes"]
    stopped = [node["name"] for node in nodes if not node.get("running")]
    if stopped:
        return failed(f"{number(len(stopped), 'node', 'do', of=len(nodes))} not run.", stopped, "Start it; its log says why it stopped.")
    members = [node["name"] for node in nodes]
    if len(nodes) < FEWEST:
        stops = "everything" if len(nodes) == 1 or _has_khepri(seen) else "every quorum queue, and takes the classic queues that it holds"
        return failed(f"{number(len(nodes), 'node')}: the loss of one stops {stops}.", members)
    if len(nodes) % 2 == 0:
        return failed(f"{len(nodes)} nodes: one more than {len(nodes) - 1}, and it survives no more.", members)
    return passed(f"{len(nodes)} nodes, and all run.", members)


@SECTION.item(
    "quorum-queues",
    "Quorum queues for critical data",
    why="A classic queue lives on one node and is away while that is, or for ever."
    " A quorum queue goes on while a majority of its members does.",
    mend='Declare with `arguments={"x-queue-type": "quorum"}`, or `rabbitmqctl update_vhost_metadata VHOST --default-queue-type quorum`,'
    " for new queues. Where members are too few, `rabbitmq-queues grow NODE all`; of a stream, `rabbitmq-streams add_replica STREAM NODE`.",
    look="Whoever declares the queues: those whose loss would be noticed are quorum queues with three members.",
    lessons=(
        "03_clustering.md#a-quorum-queue-has-a-leader-and-members",
        "reference_03_clustering.md#ask-before-you-take-a-node-down",
    ),
)
def quorum_queues(seen: Seen) -> Finding:
    """Important queues without copies, or with fewer than three."""
    queues = important(seen)
    if not queues:
        return not_applicable("There is no queue that is shared.")
    classic = [queue for queue in queues if kind(queue) not in REPLICATED]
    mirrored = [queue for queue in classic if _has_mirrors(seen, queue)]
    alone = [queue for queue in classic if not _has_mirrors(seen, queue)]
    few = [queue for queue in queues if kind(queue) in REPLICATED and len(queue.get("members") or ()) < FEWEST]
    if mirrored or alone or few:
        said = [f"{number(len(mirrored), 'queue', 'have', of=len(queues))} mirrors, which end with RabbitMQ 4.0"] if mirrored else []
        said += [f"{number(len(alone), 'queue', 'live', of=len(queues))} on one node only"] if alone else []
        said += [f"{number(len(few), 'queue', 'have')} fewer than {FEWEST} members, so the loss of one stops them"] if few else []
        return failed("; ".join(said) + ".", names(mirrored + alone + few))
    return passed(f"{every(len(queues), 'queue', 'have')} {FEWEST} members or more.")


def _has_mirrors(seen: Seen, queue: Queue) -> bool:
    return not since(seen, 4) and "ha-mode" in queue.get("effective_policy_definition", {})


@SECTION.item(
    "mirrored-queues",
    "Mirrored classic queues, `ha-mode` policies",
    why="They meant copies of a classic queue on other nodes."
    " Removed in 4.0: what is left of such a policy does nothing, and a new one is refused, so there are no copies.",
    mend="Set the policy again without its `ha-*` keys, and keep the others; delete it where it has no others."
    " Declare the queues anew as quorum queues.",
    look="Whoever keeps the policies: none has `ha-mode` in it.",
    lessons=("03_clustering.md#a-quorum-queue-has-a-leader-and-members",),
)
def mirrored_queues(seen: Seen) -> Finding:
    """Policies with ``ha-mode``, and queues declared with ``x-ha-policy``."""
    policies = [policy for policy in seen["policies"] if "ha-mode" in policy.get("definition", {})]
    queues = [queue for queue in seen["queues"] if "x-ha-policy" in queue.get("arguments", {})]
    if policies or queues:
        works = not since(seen, 4)
        effect = "which end with RabbitMQ 4.0" if works else "which do nothing"
        saw = f"{number(len(policies), 'policy')} with ha-mode and {number(len(queues), 'queue')} with x-ha-policy, {effect}."
        return failed(saw, names(policies) + names(queues), MIGRATE if works else None)
    return not_applicable("Obsolete, and not in use here: no policy has ha-mode.")


@SECTION.item(
    "partition-handling",
    "A partition handling strategy, `pause_minority`",
    why="It told the nodes of the smaller part to stop."
    " Since 4.3 it is accepted and ignored: what needs a majority waits for one by itself.",
    mend="Take `cluster_partition_handling` out of `rabbitmq.conf`. In its place: nodes spread so that no failure takes two, and a trial.",
    look="Whoever keeps `rabbitmq.conf`: give it to the audit with `--config`. And try it: cut a node off, and see that clients go on.",
    lessons=("03_clustering.md#who-is-cut-off-from-the-majority-confirms-nothing",),
)
def partition_handling(seen: Seen) -> Finding:
    """The setting, which only the configuration shows."""
    partitioned = [node["name"] for node in seen["nodes"] if node.get("partitions")]
    if partitioned:
        return failed("Nodes report that the cluster was split in two.", partitioned, SPLIT)
    if len(seen["nodes"]) == 1:
        return not_applicable("There is one node, which cannot be cut in two.")
    strategy = seen["config"].get(PARTITION_KEY)
    if _has_khepri(seen):
        reason = "since 4.3" if since(seen, 4, 3) else "with Khepri"
        if any(key.startswith(PARTITION_KEY) for key in seen["config"]):
            return not_applicable(f"{PARTITION_KEY} = {strategy} stands in the configuration, and does nothing {reason}: take it out.")
        return not_applicable(f"Obsolete {reason}, and not in the configuration.")
    if strategy is None:
        return unseen("The file that was given does not name a strategy. Does a file in conf.d, or advanced.config?")
    if strategy == "ignore":
        mend = f"{PARTITION_KEY} = pause_minority in rabbitmq.conf of every node." if len(seen["nodes"]) >= FEWEST else TWO_NODES
        return failed("Before 4.3 the two parts of a split cluster go different ways, and nothing keeps them from it.", mend=mend)
    return passed(f"{PARTITION_KEY} = {strategy}; from 4.3 on it does nothing.")


def _has_khepri(seen: Seen) -> bool:
    """Whether the store that the strategies protected is gone, which before 4.3 is a feature flag."""
    return since(seen, 4, 3) or any(
        flag["name"] == "khepri_db" and flag.get("state") == "enabled" for flag in seen.get("feature_flags", ())
    )


@SECTION.item(
    "load-balancer",
    "A load balancer in front",
    why="Clients that know one node are out while it is; and all of them on one node make the others useless.",
    mend="HAProxy with the check `/api/health/checks/ready-to-serve-clients` and a timeout above the heartbeat, or a list"
    " of hosts in each client.",
    look="Whoever runs the network: what address do clients have, what does its check ask, and does it cut connections that are quiet?",
    lessons=(
        "reference_06_operations.md#a-load-balancer-asks-whether-a-node-would-serve",
        "03_clustering.md#kill-the-leader-while-a-till-is-selling",
    ),
    deployment="Load balancer",
)
def load_balancer(seen: Seen) -> Finding:
    """Whether all clients are on one node; what stands before the nodes does not show."""
    running = [node["name"] for node in seen["nodes"] if node.get("running")]
    clients = [connection for connection in seen["connections"] if connection.get("type", "network") == "network"]
    used = sorted({str(connection.get("node")) for connection in clients})
    if len(running) >= FEWEST and len(clients) >= MANY_CONNECTIONS and len(used) == 1:
        return failed(f"All {len(clients)} connections are on {used[0]}, though {len(running)} nodes run.", used)
    if clients:
        return unseen(f"{number(len(clients), 'connection')}, on {some(used, 5)}; what stands before the nodes does not show.")
    return unseen("Nobody is connected.")
