"""The deployment checklist, as far as it asks for something that the other one does not."""

from typing import Any

from rabbitlab.audit.queues import every, number, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen

SECTION = Section("Deployment", "Deployment")
MB = 1_000_000
FEWEST_FREE = 1000 * MB  # where nobody has set a limit of disk it is 50 MB
MOST_MEMORY = 0.7  # of what there is: above the watermark a node goes on taking memory for a while
FEWEST_FILES = 4096  # RabbitMQ warns at 1024, and its documentation asks for 50,000
# What rabbitmq.conf calls limits of a node's connections and channels, and of a connection's channels.
CONNECTIONS = {"max_connections", "connection_max"}
CHANNELS = {"max_channels_per_connection", "channel_max", "channel_max_per_node"}
NO_LIMIT = ("0", "infinity")
USERS = ("users", "permissions", "user_limits")
FLEETING = ("/tmp/", "/dev/shm/", "/run/", "/var/tmp/")


@SECTION.item(
    "persistent-storage",
    "Persistent storage",
    why="A node that comes back without its data is another node under the same name: its copies of quorum queues are gone.",
    mend="A volume of its own for the data directory of each node, that outlives the container or the machine.",
    look="Whoever runs the nodes: `docker inspect`, `kubectl get pvc`: the data directory is on a disk of its own. Restart one.",
    lessons=("reference_03_clustering.md#throw-a-container-away-without-its-volume",),
)
def persistent_storage(seen: Seen) -> Finding:
    """Nodes that store in memory, or where a restart cleans up."""
    fleeting = [node["name"] for node in seen["nodes"] if node.get("type") == "ram" or str(node.get("db_dir", "")).startswith(FLEETING)]
    if fleeting:
        return failed(f"What {number(len(fleeting), 'node', 'store')} is in memory, or where a restart cleans up.", fleeting)
    folders = sorted({str(node["db_dir"]) for node in seen["nodes"] if node.get("db_dir")})
    return unseen(f"The nodes store in {some(folders, 1)}; what disk that is does not show.")


@SECTION.item(
    "monitoring",
    "Monitoring",
    why="A node that Prometheus does not ask can die, or fill up, and no alert is about it.",
    mend="A target for each node in `prometheus.yml`, also for the one that was added last.",
    look="Whoever runs Prometheus: give its address to the audit with `--prometheus`.",
    lessons=("04_monitoring.md#let-somebody-write-the-numbers-down",),
)
def monitoring(seen: Seen) -> Finding:
    """Nodes that Prometheus has no metrics of."""
    missed = [node["name"] for node in seen["nodes"] if node["name"] not in seen["watched"]]
    if missed:
        return failed(f"Prometheus has no metrics of {number(len(missed), 'node', of=len(seen['nodes']))}.", missed)
    return passed(f"Prometheus has metrics of all {number(len(seen['nodes']), 'node')}.")


@SECTION.item(
    "alerting",
    "Alerting",
    why="An alert that has never rung has not been tested, and one that reaches nobody is no alert.",
    mend="An Alertmanager in `prometheus.yml`, with a receiver that somebody reads.",
    look="Whoever is on call: cause the fault of each alert once, on a system that may break, and see it ring and stop.",
    lessons=("04_monitoring.md#see-it-ring-and-stop", "exercises/ex_03_monitoring.md"),
)
def alerting(seen: Seen) -> Finding:
    """Whether Prometheus tells anybody, and which alerts have never rung."""
    names = [rule["name"] for rule in seen["rules"]]
    if not names:
        return failed("No alert about RabbitMQ is loaded.", mend="Rules as in docker/prometheus/rules.")
    if not seen["alertmanagers"]:
        return failed(f"{number(len(names), 'alert')}, and Prometheus knows no Alertmanager to tell.")
    silent = [name for name in dict.fromkeys(names) if name not in seen["rang"]]
    if silent:
        return unseen(f"{number(len(silent), 'alert', 'have', of=len(set(names)))} not rung in 30 days: {some(silent)}.", silent)
    return passed(f"{every(len(set(names)), 'alert', 'have')} rung within 30 days, and an Alertmanager is told.")


@SECTION.item(
    "backups",
    "Backup strategy",
    why="After a mistake or a fire, users, policies, exchanges and queues must come from somewhere. Definitions hold no messages.",
    mend="`rabbitmqctl export_definitions FILE`, every day, to another place; and import it once, to see.",
    look="Whoever operates: where is last night's export of definitions, and when was one restored?",
    lessons=("reference_06_operations.md#a-backup-is-definitions-and-was-restored-once",),
)
def backups(seen: Seen) -> Finding:
    """No cluster knows its backups: an export is a question like any other."""
    return unseen("A cluster does not know its backups: to export definitions is to read them, which leaves no trace there.")


@SECTION.item(
    "resource-limits",
    "Resource limits",
    why="Without limits one program takes all connections or memory; and at a low disk limit a node cannot write any more when it stops.",
    mend="""`rabbitmqctl set_vhost_limits -p VHOST '{"max-connections": 200, "max-queues": 100}'`;"""
    """ `rabbitmqctl set_user_limits USER '{"max-channels": 200}'`; `disk_free_limit.absolute = 2GB` and"""
    """ `vm_memory_high_watermark.relative = 0.6` in `rabbitmq.conf`.""",
    look="Whoever runs the nodes: the container's or machine's memory is well above the watermark.",
    lessons=("reference_06_operations.md#a-node-has-less-than-its-machine", "05_security.md#a-limit-is-a-door-that-can-be-full"),
)
def resource_limits(seen: Seen) -> Finding:
    """Virtual hosts and users without limits, a low disk limit, few files, a high watermark.

    A watermark that is relative follows the machine's memory.
    """
    nodes = [node for node in seen["nodes"] if node.get("running")]
    vhosts = {vhost["name"]: _limits(seen["vhost_limits"], "vhost", vhost["name"]) for vhost in seen["vhosts"]}
    by_node = _configured(seen, CONNECTIONS)
    crowded = [name for name, limits in vhosts.items() if "max-connections" not in limits and not by_node]
    endless = [name for name, limits in vhosts.items() if "max-queues" not in limits and limits.get("max-connections") != 0]
    free = _free_users(seen) if all(part in seen for part in USERS) else []
    untold = bool(free) and "config" not in seen  # there may be a limit for all of them
    low = [node["name"] for node in nodes if "disk_free_limit" in node and node["disk_free_limit"] < FEWEST_FREE]
    left = some(map(str, sorted({node["disk_free_limit"] // MB for node in nodes if node["name"] in low})), 1)
    few = [node["name"] for node in nodes if node.get("fd_total", FEWEST_FILES) < FEWEST_FILES]
    relative = seen.get("config", {}).get("vm_memory_high_watermark.relative")
    high = [node["name"] for node in nodes] if relative and float(relative) > MOST_MEMORY else []
    wrong = {
        f"{number(len(crowded), 'virtual host', 'have')} no limit of connections": crowded,
        f"{number(len(endless), 'virtual host', 'have')} no limit of queues": endless,
        f"{number(len(free), 'user', 'have')} no limit of channels": [] if untold else [f"{name} (user)" for name in free],
        f"{number(len(low), 'node', 'stop')} publishers only when {left} MB of disk are left, which is late": low,
        f"{number(len(few), 'node')} may open fewer than {FEWEST_FILES} files and connections": few,
        f"the watermark is {relative} of the memory, which leaves too little above it": high,
    }
    wrong = {said: things for said, things in wrong.items() if things}
    if wrong:
        return failed(f"{'; '.join(wrong)}.", dict.fromkeys(thing for things in wrong.values() for thing in things))
    if _free_users(seen):  # asked again: here it may raise Unseen, after everything that is wrong for certain
        return unseen(
            f"{number(len(free), 'user', 'have')} no limit of channels; whether there is one for all stands in rabbitmq.conf.", free
        )
    silent = [node["name"] for node in nodes if "disk_free_limit" not in node or "mem_limit" not in node]
    if silent:
        return unseen(f"{number(len(silent), 'node', 'do', of=len(nodes))} not show limits of disk and memory.", silent)
    marks = ", ".join(sorted({f"{node.get('mem_limit', 0) >> 20} MiB" for node in nodes}))
    if relative:
        return passed(f"Limits are set; the watermark ({marks}) is {relative} of the memory that the node was given.")
    return unseen(f"Limits are set. Whether the watermark ({marks}) is below what the container or machine has, does not show.")


@SECTION.item(
    "documentation",
    "Documentation complete",
    why="Whoever is woken at night needs to know what an alert means and what to do; whoever changes a setting, why it is so.",
    mend="Copy `docs/module_4_production/runbook_template.md` into your repository and fill it in. Then annotations on every alert: a"
    " description, and a runbook that leads to its case there; and a comment on every setting.",
    look="Whoever is on call: is there a runbook, as `docs/module_4_production/runbook_template.md` has it, with a case for each alert, and"
    " did somebody else than its author follow it?",
    lessons=("runbook_template.md", "04_monitoring.md#listen-for-what-makes-no-sound"),
)
def documentation(seen: Seen) -> Finding:
    """Alerts that do not say what they mean; the rest is on paper."""
    if "rules" not in seen:
        return unseen("What is written down does not show.")
    bare = [rule["name"] for rule in seen["rules"] if not DESCRIBES & {key.lower() for key in rule.get("annotations", {})}]
    if bare:
        return failed(f"{number(len(bare), 'alert', 'do', of=len(seen['rules']))} not say what they mean or what to do.", bare)
    if not seen["rules"]:
        return not_applicable("There is no alert to explain.")
    return unseen(f"{every(len(seen['rules']), 'alert', 'have')} a description; what else is written down does not show.")


def _limits(rows: list[dict[str, Any]], of: str, name: str) -> dict[str, int]:
    """The limits of a virtual host or a user; a negative one is none."""
    values = (row.get("value") or {} for row in rows if row[of] == name)
    return {key: limit for value in values for key, limit in value.items() if limit >= 0}


def _free_users(seen: Seen) -> list[str]:
    """Users of programs that may open any number of channels: neither a limit of theirs nor the configuration says otherwise."""
    administrators = {user["name"] for user in seen["users"] if "administrator" in (user.get("tags") or ())}
    doing = {row["user"] for row in seen["permissions"] if any(row[what] not in ("", "^$") for what in ("configure", "write", "read"))}
    limited = {row["user"] for row in seen["user_limits"] if "max-channels" in _limits([row], "user", row["user"])}
    return [] if _configured(seen, CHANNELS) else sorted(doing - administrators - limited)


def _configured(seen: Seen, keys: set[str]) -> bool:
    """Whether the configuration has a limit under one of these names."""
    return any(seen.get("config", {}).get(key, NO_LIMIT[0]) not in NO_LIMIT for key in keys)


DESCRIBES = {"description", "runbook", "runbook_url", "message"}
