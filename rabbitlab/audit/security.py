"""Production readiness: security."""

import re
from collections import Counter
from functools import cache
from typing import Any

from rabbitlab.audit.queues import number, shared, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, not_applicable, passed, unseen

SECTION = Section("Production readiness", "Security")
EVERYWHERE = ("::", "0.0.0.0")
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
ANY_NAMES = ("q7xk", "Zk-fx.91_w", "T0.vbq")  # a pattern that permits all of these permits what nobody has thought of


@SECTION.item(
    "default-credentials",
    "Default credentials changed",
    why="guest with the password guest is what every attacker tries first, and it is an administrator.",
    mend="`rabbitmqctl add_user NAME` and `rabbitmqctl set_user_tags NAME administrator` for yourself, and for each program a user with"
    " permissions of its own. When no connection of guest is left, `rabbitmqctl delete_user guest`.",
    look="Whoever administers: `rabbitmqctl list_users` shows no guest. The audit sees it with a user tagged administrator.",
    lessons=("05_security.md#guest-is-deleted-not-renamed",),
)
def default_credentials(seen: Seen) -> Finding:
    """Whether guest is alive."""
    as_guest = [connection for connection in seen.get("connections", ()) if connection.get("user") == "guest"]
    if as_guest:
        return failed(f"guest is alive: {number(len(as_guest), 'connection', 'use')} it.", ["guest"])
    if any(user["name"] == "guest" for user in seen["users"]):
        config = seen.get("config", {})
        open_to_all = config.get("loopback_users") == "none" or config.get("loopback_users.guest") == "false"
        return failed("guest is alive" + (", and may log in from any machine (loopback_users)." if open_to_all else "."), ["guest"])
    return passed(f"There is no guest among {number(len(seen['users']), 'user')}.")


@SECTION.item(
    "tls",
    "TLS on all connections",
    why="Without it, passwords and messages can be read on the way, and nobody knows who answers.",
    mend="`listeners.tcp = none` with `listeners.ssl.default = 5671` and `ssl_options`; the same for management and"
    " prometheus; inet_tls between nodes.",
    look="Whoever runs the nodes: between nodes TLS is a matter of start arguments (`-proto_dist inet_tls`)."
    " Do clients verify the certificate?",
    lessons=(
        "05_security.md#ask-who-answers-before-you-say-your-password",
        "reference_05_security.md#management-and-metrics-are-encrypted-too",
        "reference_05_security.md#nodes-talk-in-clear-text-unless-told-otherwise",
    ),
    deployment="TLS",
)
def tls(seen: Seen) -> Finding:
    """Listeners in clear text that other machines reach, and connections without TLS."""
    plain = [listener for listener in seen["listeners"] if not _encrypted(listener) and _reachable(listener)]
    connections = seen.get("connections", ()) if plain else seen["connections"]
    clients = [connection for connection in connections if connection.get("type", "network") == "network"]
    clear = [connection for connection in clients if connection.get("ssl") is False]
    if plain or clear:
        protocols = Counter(f"{listener['protocol']} on {listener['port']}" for listener in plain)
        said = [f"{number(len(plain), 'listener')} in clear text"] if plain else []
        said += [f"{number(len(clear), 'connection', 'are', of=len(connections))} not encrypted"] if clear else []
        return failed(f"{'; '.join(said)}.", [f"{each} ({number(count, 'node')})" for each, count in sorted(protocols.items())])
    unsaid = [connection["name"] for connection in clients if "ssl" not in connection]
    if unsaid:
        return unseen(f"{number(len(unsaid), 'connection', 'do', of=len(connections))} not show whether TLS is spoken.", unsaid)
    links = [listener for listener in seen["listeners"] if listener["protocol"] == "clustering" and _reaches_out(listener)]
    if links and len(seen["nodes"]) > 1:
        return unseen("All clients, management and metrics speak TLS; what the nodes speak among themselves does not show.")
    return passed("Every listener that other machines reach speaks TLS, and so does every connection.")


@SECTION.item(
    "vhosts",
    "Virtual hosts for isolation",
    why="In one virtual host every system may meet the queues, policies and limits of every other.",
    mend="`rabbitmqctl add_vhost shop --default-queue-type quorum`, and permissions there; then leave `/` empty.",
    look="Whoever administers: one virtual host for each system, and nothing in the default one.",
    lessons=(
        "05_security.md#topology-belongs-to-an-administrator",
        "reference_05_security.md#a-default-queue-type-is-for-durable-queues-only",
    ),
)
def vhosts(seen: Seen) -> Finding:
    """Queues and clients in the default virtual host."""
    own = [vhost["name"] for vhost in seen["vhosts"] if vhost["name"] != "/"]
    queues = [queue for queue in shared(seen) if queue["vhost"] == "/"]
    connections = seen.get("connections", ()) if queues else seen["connections"]
    clients = [connection for connection in connections if connection.get("vhost") == "/"]
    if queues or clients:
        return failed(f"The default virtual host is in use: {number(len(queues), 'queue')}, {number(len(clients), 'connection')}.", ["/"])
    if not own:
        return not_applicable("There is the default virtual host alone, and nobody uses it yet.")
    types = Counter(_default_type(vhost) for vhost in seen["vhosts"] if vhost["name"] != "/")
    kinds = ", ".join(f"{count} with {kind} queues by default" for kind, count in types.items())
    return passed(f"{number(len(own), 'virtual host')} in use, {kinds}; the default one is empty.", own)


@SECTION.item(
    "permissions",
    "Least-privilege permissions",
    why="Whoever takes over a program, or errs in it, may do what the program may: with .* delete every queue.",
    mend="`rabbitmqctl set_permissions -p VHOST USER '^$' '^sales$' '^orders$'`: configure nothing, write one exchange, read one queue.",
    look="Whoever administers: `rabbitmqctl list_permissions -p VHOST`. The audit sees it with a user tagged administrator.",
    lessons=("05_security.md#topology-belongs-to-an-administrator", "05_security.md#every-permission-is-proven-by-a-refusal"),
)
def permissions(seen: Seen) -> Finding:
    """Users of programs that may do all there is, and programs that log in as administrators."""
    administrators = {user["name"] for user in seen["users"] if "administrator" in _tags(user)}
    wide = [row for row in seen["permissions"] if row["user"] not in administrators and any(_wide(row[what]) for what in RIGHTS)]
    connections = seen.get("connections", ()) if wide else seen["connections"]  # what fails fails, whatever else is hidden
    mighty = Counter(connection["user"] for connection in connections if connection.get("user") in administrators)
    if wide or mighty:
        said = [f"{number(len(wide), 'permission', 'permit', of=len(seen['permissions']))} any name"] if wide else []
        said += [f"{number(sum(mighty.values()), 'connection')} of an administrator"] if mighty else []
        rows = [f"{row['user']} in {row['vhost']} ({_rights(row)})" for row in wide]
        return failed(f"{'; '.join(said)}.", rows + [f"{user} (administrator, {count} connections)" for user, count in mighty.items()])
    known = {user["name"] for user in seen["users"]}
    strangers = dict.fromkeys(str(connection["user"]) for connection in connections if connection.get("user") not in (None, *known))
    if strangers:
        saw = f"{number(len(strangers), 'user')} of connections come from elsewhere (OAuth 2, LDAP, HTTP): what they may does not show."
        return unseen(saw, strangers)
    return passed(f"{number(len(seen['permissions']), 'permission')}; no program may do everything, and none is an administrator.")


@SECTION.item(
    "management-access",
    "Management UI access restricted",
    why="Whoever reaches the page may guess passwords there; whoever logs in with a tag may look at all, or change it.",
    mend="`rabbitmqctl set_user_tags USER`, without a tag, for programs; `management.tcp.ip = 127.0.0.1`, or a network that"
    " clients are not on.",
    look="Whoever runs the network: from the machine of a client, port 15672 (15671) does not answer.",
    lessons=("05_security.md#a-client-reaches-one-port-and-no-other", "05_security.md#tags-say-who-may-see-the-management-page"),
)
def management_access(seen: Seen) -> Finding:
    """Programs whose user may log in at the page, and where it listens."""
    tagged = {user["name"]: _tags(user) for user in seen["users"] if _tags(user)}
    programs = sorted({str(connection.get("user")) for connection in seen["connections"]} & set(tagged))
    if programs:
        said = f"{number(len(programs), 'user')} of programs that are connected may log in at the management page."
        return failed(said, [f"{name} ({', '.join(tagged[name])})" for name in programs])
    pages = [listener for listener in seen["listeners"] if listener["protocol"] in ("http", "https")]
    if pages and not any(_reachable(listener) for listener in pages):
        return passed("The page listens on the machine of the node only, and no program's user has a tag.")
    where = some(sorted({f"{listener['ip_address']} port {listener['port']}" for listener in pages}))
    return unseen(
        f"No program's user has a tag, as far as they are connected. The page listens on {where}: who reaches that does not show."
    )


RIGHTS = ("configure", "write", "read")


def _rights(row: dict[str, Any]) -> str:
    return ", ".join(f"{what} {row[what]}" for what in RIGHTS if _wide(row[what]))


@cache
def _wide(pattern: str) -> bool:
    """Whether it permits just about any name. RabbitMQ searches for it, so it may match a part; an empty one permits none."""
    try:
        return bool(pattern) and all(re.search(pattern, name) for name in ANY_NAMES)
    except re.error:
        return False


def _tags(user: dict[str, Any]) -> list[str]:
    tags = user.get("tags") or []
    return tags.split(",") if isinstance(tags, str) else list(tags)


def _encrypted(listener: dict[str, Any]) -> bool:
    protocol = str(listener["protocol"])
    return bool(listener.get("tls")) or protocol.startswith("https") or protocol.endswith("/ssl")


def _reachable(listener: dict[str, Any]) -> bool:
    """Whether clients on other machines reach it; what nodes use among themselves is another matter."""
    return listener["protocol"] != "clustering" and _reaches_out(listener)


def _reaches_out(listener: dict[str, Any]) -> bool:
    return listener["ip_address"] not in LOOPBACK


def _default_type(vhost: dict[str, Any]) -> str:
    found = vhost.get("default_queue_type") or vhost.get("metadata", {}).get("default_queue_type")
    return str(found) if found not in (None, "undefined") else "classic"
