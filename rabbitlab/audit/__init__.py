"""The production readiness checklist as a program: reads a cluster, changes nothing, and says of each item how it stands."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getpass
from ssl import SSLContext
from typing import Any

from rabbitlab.audit import conf, prometheus, reading
from rabbitlab.audit.asking import Asker, trust
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Report, judge
from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN, HOST, NODES, PROMETHEUS_PORT
from rabbitlab.units import ROOT

COULD_NOT_READ = 2
OWN_CONFIG = str(ROOT / "docker" / "rabbitmq" / "rabbitmq.conf")
OWN_PROMETHEUS = f"http://{HOST}:{PROMETHEUS_PORT}"


@dataclass(frozen=True)
class Source:
    """Where to read, and as whom.

    Attributes:
        url: The management API; None is the lab's own cluster.
        user: Who reads.
        password_env: The environment variable that holds the password.
        ask: Ask for the password.
        ca: File with the authority to trust.
        cert: File with the certificate to show.
        key: File with its private key.
        config: The cluster's rabbitmq.conf.
        prometheus: Address of the Prometheus that watches the cluster.
        metrics: Addresses of the nodes' own metrics.
    """

    url: str | None = None
    user: str | None = None
    password_env: str | None = None
    ask: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    config: str | None = None
    prometheus: str | None = None
    metrics: tuple[str, ...] = ()


def run(source: Source, *, vhosts: Sequence[str] = (), important: str | None = None, as_json: bool = False, html: str | None = None) -> int:
    """Read a cluster and report.

    Args:
        source: Where to read.
        vhosts: Only these virtual hosts; all where there are none.
        important: A regular expression: the queues that must be safe. Without it, all that are shared.
        as_json: Print JSON in place of the table.
        html: Also write a page to this file.

    Returns:
        0 when nothing failed, 1 when something did, 2 when the cluster could not be read.
    """
    try:
        report = audit(source, vhosts=vhosts, important=important)
        _tell(report, as_json, html)
    except Mendable as error:
        print(error, file=sys.stderr)
        return COULD_NOT_READ
    except Exception as error:  # a fault of ours says nothing about the cluster
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"The audit itself has a fault, and judged nothing ({what}). Please report it with the version of RabbitMQ", file=sys.stderr)
        return COULD_NOT_READ
    return report.exit_status


def audit(source: Source, *, vhosts: Sequence[str] = (), important: str | None = None) -> Report:
    """Read and judge, as :func:`run`.

    Raises:
        Mendable: the cluster cannot be read, or an option cannot be used.
    """
    tls = trust(source.ca, source.cert, source.key)
    asker, me = _reach(source.url, _login(source), tls)
    parts, unread, partly = reading.cluster(asker, me, vhosts)
    parts["important"] = _pattern(important)
    overview = parts["overview"]
    nodes = [node["name"] for node in parts.get("nodes", [])]
    config = source.config or (OWN_CONFIG if source.url is None else None)
    if config is None:
        unread["config"] = "It stands in rabbitmq.conf, which was not given (--config FILE)."
    else:
        parts["config"] = conf.read(config)
    parts["metrics"], problem = prometheus.of_nodes(_metrics(source, asker, parts), tls, known=nodes, asked_for=bool(source.metrics))
    if problem:
        unread["metrics"] = problem
    _ask_prometheus(source, tls, nodes, parts, unread)
    asker.close()
    return Report(
        judge(ITEMS, Seen(parts, unread, partly)),
        cluster={
            "name": overview.get("cluster_name"),
            "product": overview.get("product_name") or "RabbitMQ",
            "version": overview.get("product_version") or overview["rabbitmq_version"],
            "nodes": nodes,
        },
        read={
            "url": asker.url,
            "user": me["name"],
            "tags": reading.tags(me),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "unread": dict(unread),
        },
    )


def _metrics(source: Source, asker: Asker, parts: dict[str, Any]) -> Sequence[str]:
    """The addresses of the nodes' own metrics."""
    if source.metrics:
        return source.metrics
    if source.url is None:
        return [f"http://{HOST}:{node.metrics}" for node in NODES]
    return prometheus.guessed(asker.url, parts.get("listeners", []))


def _ask_prometheus(source: Source, tls: SSLContext, nodes: list[str], parts: dict[str, Any], unread: dict[str, str]) -> None:
    """What the Prometheus server knows; the lab's own is asked where it runs."""
    address = source.prometheus or (OWN_PROMETHEUS if source.url is None else None)
    why = "It stands in Prometheus, which was not named (--prometheus URL)."
    if address:
        try:
            server = prometheus.Server(address, tls)
        except Mendable:
            if source.prometheus:
                raise
            why = "The lab's Prometheus does not run (./lab up --monitoring)."
        else:
            found, missing = server.read(nodes, parts["metrics"]["id"])
            server.close()
            parts.update(found)
            unread.update(missing)
            return
    unread.update(dict.fromkeys(prometheus.PARTS, why))


def _login(source: Source) -> tuple[str, str]:
    user = source.user
    if source.url is None and user is None:
        return ADMIN
    if not user:
        raise Mendable("Say as whom to read: --user NAME, and --password-env VARIABLE or --password")
    if source.password_env:
        if source.password_env not in os.environ:
            raise Mendable(f"There is no environment variable {source.password_env}. Set it to the password of {user}, or use --password")
        return user, os.environ[source.password_env]
    if source.ask or sys.stdin.isatty():
        return user, getpass(f"Password of {user}: ")
    raise Mendable(f"No password for {user}: name the environment variable that holds it, --password-env VARIABLE")


def _reach(url: str | None, login: tuple[str, str], tls: SSLContext) -> tuple[Asker, dict[str, Any]]:
    """The first management API that answers."""
    addresses = [url] if url else [f"http://{HOST}:{node.management}" for node in NODES]
    for number, address in enumerate(addresses, 1):
        asker = Asker(address, login=login, tls=tls)
        try:
            return asker, reading.greet(asker)
        except Mendable:
            if number == len(addresses):
                raise
    raise AssertionError("there is at least one address")


def _pattern(important: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(important) if important else None
    except re.error as error:
        raise Mendable(f"--important {important} is no regular expression: {error}") from None


def _tell(report: Report, as_json: bool, html: str | None) -> None:
    from rabbitlab.audit import as_json as document
    from rabbitlab.audit import page, screen

    if html:
        page.write(report, html)
    if as_json:
        print(document.text(report))
    else:
        screen.show(report)
        if html:
            print(f"The page: {html}")
