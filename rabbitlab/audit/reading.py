"""Read a cluster through its management API into what the checks judge: a few large answers, with only the columns that are needed."""

import re
from collections.abc import Collection
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx

from rabbitlab.audit import consumers
from rabbitlab.audit.asking import Asker, Refused, explain
from rabbitlab.audit.queues import Place, at, shown, some
from rabbitlab.errors import Mendable

PAGE = 500  # queues an answer; the API allows no more
QUEUE = (
    "name,vhost,type,durable,exclusive,auto_delete,arguments,effective_policy_definition,members,online,leader,node,state,consumers,"
    "messages,messages_ready,messages_unacknowledged,messages_persistent,message_bytes,message_bytes_persistent,"
    "delivery_limit,delayed_retry,message_stats.ack_details.rate"
)
CONNECTION = (
    "name,vhost,user,node,protocol,ssl,peer_host,client_properties.connection_name,client_properties.capabilities,type,connected_at"
)
CHANNEL = (
    "name,vhost,user,confirm,transactional,global_prefetch_count,messages_unacknowledged,idle_since,connection_details.name,"
    "message_stats.publish,message_stats.confirm,message_stats.get_no_ack"
)
CONSUMER = "queue,consumer_tag,ack_required,prefetch_count,active,channel_details.name,channel_details.connection_name"
# What is read: part, path, and the parameters that keep the answer small.
PARTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("nodes", "nodes", {}),
    ("vhosts", "vhosts", {}),
    ("exchanges", "exchanges", {"columns": "name,vhost,type,arguments"}),
    ("bindings", "bindings", {"columns": "source,vhost,destination,destination_type,routing_key"}),
    ("connections", "connections", {"columns": CONNECTION}),
    ("channels", "channels", {"columns": CHANNEL}),
    ("consumers", "consumers", {"columns": CONSUMER}),
    ("policies", "policies", {}),
    ("vhost_limits", "vhost-limits", {}),
    ("users", "users", {}),
    ("user_limits", "user-limits", {}),
    ("permissions", "permissions", {}),
    ("feature_flags", "feature-flags", {}),
    ("deprecated_used", "deprecated-features/used", {}),
)
WHOLE = {"vhosts": ("name",), "queues": ("name", "vhost"), "connections": ("name",), "consumers": ("queue",), "nodes": ("name",)}
OBJECTS = ("channel_details", "connection_details", "client_properties", "message_stats", "arguments", "effective_policy_definition")
OF_A_VHOST = ("queues", "exchanges", "bindings", "connections", "channels", "consumers", "policies", "vhost_limits", "permissions")
LISTED_BY_VHOST = ("queues", "exchanges", "bindings", "policies", "vhost_limits")  # where a monitoring user sees only what it may enter

WORKED_OUT = ("cancelled", "stuck")  # from what is listed by virtual host


def greet(asker: Asker) -> dict[str, Any]:
    """Who we are, as the server says.

    Raises:
        Mendable: it is no RabbitMQ that lets us in; says what to change.
    """
    try:
        me = asker.json("api/whoami")
    except httpx.TransportError as error:
        raise Mendable(explain(asker.url, error)) from None
    except Refused as refused:
        raise Mendable(_not_let_in(asker.url, refused)) from None
    if not isinstance(me, dict) or "name" not in me:
        raise Mendable(f"{asker.url} is no RabbitMQ management API: asked who we are, it said something else")
    return me


def cluster(asker: Asker, me: dict[str, Any], vhosts: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Read all that *me* may read.

    Args:
        asker: The management API.
        me: Our user, see :func:`greet`.
        vhosts: Only these virtual hosts; all where there are none.

    Returns:
        Parts, unread and partly, see :class:`~rabbitlab.audit.seen.Seen`.

    Raises:
        Mendable: the API breaks off at the beginning, or a virtual host that was asked for does not exist.
    """
    unread: dict[str, str] = {}
    parts: dict[str, Any] = {"whoami": me, "today": date.today()}
    try:
        parts["overview"] = asker.json("api/overview")
    except httpx.TransportError as error:
        raise Mendable(explain(asker.url, error)) from None
    except Refused as refused:
        raise Mendable(_not_let_in(asker.url, refused)) from None
    if "rabbitmq_version" not in parts["overview"]:
        raise Mendable(f"{asker.url} is no RabbitMQ management API: its overview names no version")
    for name, path, params in PARTS:
        _try(parts, unread, name, me, lambda path=path, params=params: asker.json(f"api/{path}", **params))
    partly: dict[str, str] = {}
    _try(parts, unread, "queues", me, lambda: _queues(asker, parts["overview"], partly))
    _try(parts, unread, "certificates", me, lambda: _health(asker, "certificate-expiration/1/months"))
    if "listeners" in parts["overview"]:
        parts["listeners"] = parts["overview"]["listeners"]
    else:
        unread["listeners"] = f"The user {me['name']} may not see the listeners of nodes; give it the tag monitoring."
    _only(parts, vhosts)
    partly |= _partly(me, _hidden(asker, me, parts.get("vhosts")))
    kept_from_us = [unread[name] for name in ("queues", "consumers", "connections") if name in unread]
    if kept_from_us:
        unread["cancelled"] = kept_from_us[0]
    else:
        lost = consumers.cancelled(asker, parts["queues"], parts["consumers"], parts["connections"])
        parts["cancelled"] = [shown(name, vhost) for vhost, name in lost]
    kept_from_us = [unread[name] for name in ("queues", "consumers", "channels") if name in unread]
    if kept_from_us:
        unread["stuck"] = kept_from_us[0]
    else:
        idle = consumers.stuck(parts["channels"], parts["consumers"], parts["queues"], lambda: _channels(asker))
        parts["stuck"] = [shown(name, vhost) for vhost, name in idle]
    return parts, unread, partly


def tags(me: dict[str, Any]) -> list[str]:
    """The tags of a user; old versions give them as one text."""
    given = me.get("tags") or []
    return given.split(",") if isinstance(given, str) else list(given)


def _try(parts: dict[str, Any], unread: dict[str, str], name: str, me: dict[str, Any], ask: Any) -> None:
    try:
        told = ask()
        parts[name] = [_mended(thing) for thing in told if _is_whole(name, thing)] if isinstance(told, list) else told
    except Refused as refused:
        if refused.status in (401, 403):
            unread[name] = f"The user {me['name']} ({', '.join(tags(me)) or 'no tag'}) may not read {name.replace('_', ' ')}."
        elif refused.status == 404:
            unread[name] = f"This RabbitMQ has no page for {name.replace('_', ' ')}."
        else:
            unread[name] = f"Asked for {name.replace('_', ' ')}, the API says {refused}."
    except httpx.RequestError as error:
        unread[name] = f"Asked for {name.replace('_', ' ')}, the API broke off ({type(error).__name__})."
    except (LookupError, TypeError, AttributeError) as error:
        unread[name] = (
            f"Asked for {name.replace('_', ' ')}, the API answers otherwise than this audit knows ({type(error).__name__}: {error})."
        )


def _is_whole(part: str, thing: dict[str, Any]) -> bool:
    """What is deleted while the API answers is told without its name: it is there no more."""
    return all(key in thing for key in WHOLE.get(part, ()))


def _mended(thing: dict[str, Any]) -> dict[str, Any]:
    """With ``{}`` for an object without anything in it, where old versions say ``[]``: of a channel that is closing, for instance."""
    return thing | {key: {} for key in OBJECTS if thing.get(key) == []}


def _queues(asker: Asker, overview: dict[str, Any], partly: dict[str, str]) -> list[dict[str, Any]]:
    """All queues, page after page; without statistics where the cluster collects none.

    A queue that goes meanwhile moves the others forward, and one of them past us; then *partly* says so.
    """
    found: dict[Place, dict[str, Any]] = {}
    totals = set()
    params = {"disable_stats": "true", "enable_queue_totals": "true"} if overview.get("disable_stats") else {"columns": QUEUE}
    page, pages = 1, 1
    while page <= pages:
        try:
            answer = asker.json("api/queues", page=page, page_size=PAGE, **params)
        except Refused as refused:
            if page == 1 or refused.status != 400:
                raise
            totals.add(None)  # there is no such page any more
            break
        found |= {at(queue): queue for queue in answer["items"] if _is_whole("queues", queue)}
        totals.add(answer.get("total_count"))
        page, pages = page + 1, answer["page_count"]
    if len(totals) > 1:
        partly["queues"] = "queues came and went while they were read"
    return list(found.values())


def _channels(asker: Asker) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = asker.json("api/channels", columns=CHANNEL)
    return told


def _health(asker: Asker, check: str) -> str:
    """What a health check complains of, or nothing. One that fails answers 503."""
    try:
        asker.text(f"api/health/checks/{check}")
    except Refused as refused:
        if refused.status != 503:
            raise
        return refused.reason
    return ""


def _hidden(asker: Asker, me: dict[str, Any], vhosts: list[dict[str, Any]] | None) -> list[str]:
    """Why queues are left out of our answers, without a word: they are in virtual hosts that we may not enter, or do not know of."""
    if "administrator" in tags(me):
        return []
    if vhosts is None:
        return ["which virtual hosts there are could not be read, and those of some may be missing"]
    closed, silent = [], []
    for name in (vhost["name"] for vhost in vhosts):
        try:
            asker.text(f"api/queues/{quote(name, safe='')}", page=1, page_size=1, columns="name")
        except Refused as refused:
            (closed if refused.status in (401, 403, 404) else silent).append(name)
        except httpx.TransportError:
            silent.append(name)
    enter = f"the user {me['name']} may not enter {some(closed)} (rabbitmqctl set_permissions -p VHOST {me['name']} '^$' '^$' '^$')"
    return ([enter] if closed else []) + ([f"the queues of {some(silent)} could not be listed"] if silent else [])


def _partly(me: dict[str, Any], hidden: list[str]) -> dict[str, str]:
    """What is missing from which part."""
    if not {"administrator", "monitoring"} & set(tags(me)):
        missing = f"the user {me['name']} sees only its own virtual hosts and connections; give it the tag monitoring"
        return {name: missing for name in (*OF_A_VHOST, "vhosts", *WORKED_OUT)}
    return dict.fromkeys((*LISTED_BY_VHOST, *WORKED_OUT), "; ".join(hidden)) if hidden else {}


def _only(parts: dict[str, Any], vhosts: Collection[str]) -> None:
    """Leave out what is not in *vhosts*."""
    if not vhosts:
        return
    if "vhosts" not in parts:
        raise Mendable("Which virtual hosts there are could not be read, so none can be chosen. Try again, or leave --vhost out")
    known = {vhost["name"] for vhost in parts["vhosts"]}
    for name in vhosts:
        if name not in known:
            raise Mendable(f"There is no virtual host {name} that this user may see; there are: {', '.join(sorted(known)) or 'none'}")
    parts["vhosts"] = [vhost for vhost in parts["vhosts"] if vhost["name"] in vhosts]
    for part in OF_A_VHOST:
        if part in parts:
            parts[part] = [thing for thing in parts[part] if (thing.get("vhost") or thing.get("queue", {}).get("vhost")) in vhosts]


def _not_let_in(url: str, refused: Refused) -> str:
    if refused.status == 401 and re.search(r"not management user|not monitor", refused.reason, re.I):
        return f"This user may not use the management API of {url}. Give it a tag: rabbitmqctl set_user_tags USER monitoring"
    if refused.status == 401:
        return f"{url} refuses this name or password (401 {refused.reason}). Check --user and --password-env"
    if refused.status == 404 or refused.status == 200:
        return f"{url} is a web server, but no RabbitMQ management API ({refused}). Management is on port 15672, or 15671 with TLS"
    if 300 <= refused.status < 400:
        return f"{url} sends us elsewhere ({refused.reason}). Give that address with --url"
    if refused.status == 400 and "TLS" in refused.reason.upper():
        return f"{url} speaks TLS. Try https://"
    return f"{url} does not serve: {refused}"
