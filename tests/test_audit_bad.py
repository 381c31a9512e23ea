"""The audit on a node and a Prometheus of its own, each made bad on purpose and then mended by what the report names.

They are containers for as long as these tests run, and nobody else's: what is broken here would be broken for others on the shared cluster.
"""

import datetime
import io
import re
import shlex
import tarfile
from contextlib import contextmanager, suppress

import docker
import httpx
import pika
import pytest
import trustme

from rabbitlab import broker, containers, engine, ports
from rabbitlab.nodes import HOST, PROMETHEUS_PORT
from rabbitlab.units import ROOT
from tests import needs
from tests.test_audit_live import audited, told, verdicts

pytestmark = pytest.mark.cluster
pytest_plugins = ["tests.rooms"]

PASSWORD = "only-for-this-test"
BAD_NODE = (
    "durable-queues",
    "odd-nodes",
    "metrics-exported",
    "default-credentials",
    "vhosts",
    "permissions",
    "persistent-storage",
    "resource-limits",
    "feature-flags",
    "deprecated-features",
    "anonymous-login",
    "certificates",
    "lost-in-silence",
)
BAD_PROMETHEUS = ("failed-message-alerts", "alerts", "monitoring", "alerting", "documentation")
# What cannot be made bad here, and why.
CANNOT = {
    "global-qos": "RabbitMQ 4.3 applies such a request to each consumer, and shows no shared limit",
    "delayed-message-plugin": "the plugin is archived, and in no image of RabbitMQ 4.3",
    "partition-handling": "RabbitMQ 4.3 has no store that could be split in two, and ignores the setting",
    "management-ui": "it takes a node that answers and another that has no page, and the nodes of the lab share their list of plugins",
    "log-aggregation": "a node logs to its console whatever log.console, log.file and log.default.level say",
    "backups": "a cluster does not know its backups",
    "health-checks": "a cluster does not know who asks it",
}
BAD_CONF = """
listeners.tcp.default = 5672
listeners.ssl.default = 5671
ssl_options.cacertfile = /etc/rabbitmq/ca.pem
ssl_options.certfile = /etc/rabbitmq/server.pem
ssl_options.keyfile = /etc/rabbitmq/server.key
loopback_users = none
vm_memory_high_watermark.relative = 0.9
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 32000000
deprecated_features.permit.transient_nonexcl_queues = true
"""


class Throwaway:
    """A container of these tests alone.

    Args:
        image: That of this service of the lab.
        files: Path in the container to content.
        more: As the Docker SDK has it.
    """

    def __init__(self, image, files, **more):
        given = {"user": "root", "mem_limit": "512m"} | more
        given["ports"] = {f"{port}/tcp": (HOST, None) for port in given["ports"]}
        name, there = f"rabbitmq-by-doing-test-{image}", engine.client().containers
        with suppress(docker.errors.NotFound):  # left by a run that was killed
            there.get(name).remove(force=True, v=True)
        self._container = there.create(containers.of(image).image.id, name=name, **given)
        self.put(files)

    def put(self, files):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(content.encode()), 0o644
                archive.addfile(entry, io.BytesIO(content.encode()))
        self._container.put_archive("/", packed.getvalue())

    def start(self):
        self._container.start()

    def restart(self):
        self._container.restart(timeout=10)

    def remove(self):
        self._container.remove(force=True, v=True)

    def port(self, inside):
        self._container.reload()
        return int(self._container.ports[f"{inside}/tcp"][0]["HostPort"])

    def run(self, *command):
        done = self._container.exec_run(list(command))
        assert done.exit_code == 0, done.output.decode()

    def answers(self, inside, path, **options):
        """Whether a page is there."""
        try:
            return httpx.get(f"http://{HOST}:{self.port(inside)}/{path}", **options).status_code == 200
        except (httpx.TransportError, KeyError, IndexError):  # it has no port yet
            return False


@contextmanager
def thrown_away(container):
    try:
        container.start()
        yield container
    finally:
        container.remove()


def named(result, start):
    """The command, or the line of a configuration, that the report names: it stands between backticks."""
    text = result.finding.mend or result.item.mend
    (found,) = [code for code in re.findall("`([^`]+)`", text) if code.startswith(start)]
    return found


def change(node, path, what):
    """Change something through the node's management API, as guest."""
    address, login = f"http://{HOST}:{node.port(15672)}/api/{path}", ("guest", "guest")
    done = httpx.put(address, json=what, auth=login) if what else httpx.delete(address, auth=login)
    done.raise_for_status()


def certificate(days):
    """An authority and a node's certificate, good for so many days."""
    authority = trustme.CA()
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    issued = authority.issue_cert("localhost", not_after=until)
    pems = {"ca.pem": authority.cert_pem, "server.pem": issued.cert_chain_pems[0], "server.key": issued.private_key_pem}
    return {f"etc/rabbitmq/{name}": pem.bytes().decode() for name, pem in pems.items()}


@pytest.fixture(scope="module")
def node():
    """It loses what it stores, nobody guards it, and nobody looks after it."""
    required = [flag["name"] for flag in broker.api("feature-flags") if flag["stability"] == "required"]
    files = {"etc/rabbitmq/rabbitmq.conf": BAD_CONF, "etc/rabbitmq/enabled_plugins": "[rabbitmq_management]."}
    bad = Throwaway(
        "rabbit1",
        files | certificate(days=10),
        command=["rabbitmq-server"],
        hostname="bad",
        environment={"RABBITMQ_MNESIA_BASE": "/tmp/rabbit", "RABBITMQ_FEATURE_FLAGS": ",".join(required)},
        ports=[5672, 15672, 15692],
    )
    with thrown_away(bad), pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUEST_PASSWORD", "guest")
        patch.setenv("OWN_PASSWORD", PASSWORD)
        yield bad


@pytest.fixture(scope="module")
def look(node, tmp_path_factory):
    """Audit the node, as guest or, when there is none any more, as the administrator who mends it."""
    file = tmp_path_factory.mktemp("node") / "rabbitmq.conf"

    def audit(user, text):
        file.write_text(text)
        login = {"user": user, "password_env": "GUEST_PASSWORD" if user == "guest" else "OWN_PASSWORD"}
        metrics = (f"http://{HOST}:{node.port(15692)}",) if node.answers(15692, "metrics") else ()
        return audited(url=f"http://{HOST}:{node.port(15672)}", config=str(file), metrics=metrics, **login)

    return audit


@pytest.fixture(scope="module")
def bad(node, look):
    """The report on it."""
    asked = {"auth": ("guest", "guest")}
    broker.wait_until(lambda: node.answers(15672, "api/overview", **asked), within=90, what="the node to start")
    with pika.BlockingConnection(pika.ConnectionParameters(HOST, node.port(5672))) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="scratch", durable=False)
        channel.confirm_delivery()  # a confirm tells that it was counted, too
        channel.basic_publish(exchange="", routing_key="no such queue", body=b"lost")
        with pytest.raises(pika.exceptions.UnroutableError):  # as the report mends it: this one is told, and not counted
            channel.basic_publish(exchange="", routing_key="no such queue", body=b"told", mandatory=True)
    without = look("guest", BAD_CONF)
    assert verdicts(without, "metrics-exported", "lost-in-silence") == {
        "metrics-exported": "fail",
        "lost-in-silence": "cannot be seen",
    }
    node.run(*shlex.split(named(without["metrics-exported"], "rabbitmq-plugins")))
    broker.wait_until(lambda: node.answers(15692, "metrics"), within=30, what="its metrics")
    expected = dict.fromkeys((id for id in BAD_NODE if id != "metrics-exported"), "fail")
    change(node, "users/till", {"password": PASSWORD, "tags": ""})
    change(node, "permissions/%2F/till", {"configure": ".*", "write": ".*", "read": ".*"})
    told(lambda: verdicts(look("guest", BAD_CONF), *expected) == expected, "all that is wrong with it")
    return look("guest", BAD_CONF)


def test_a_node_made_bad_fails(bad):
    objects = {id: bad[id].finding.objects for id in BAD_NODE}
    assert objects["durable-queues"] == ("scratch",)
    assert objects["vhosts"] == ("/",)
    assert objects["deprecated-features"] == ("transient_nonexcl_queues",)
    assert objects["default-credentials"] == ("guest",)
    assert objects["persistent-storage"] == objects["anonymous-login"] == objects["odd-nodes"] == ("rabbit@bad",)
    assert "1 message published, matched no queue" in bad["lost-in-silence"].finding.saw
    assert objects["permissions"] == ("till in / (configure .*, write .*, read .*)",)
    for said in ("no limit of connections", "no limit of queues", "1 user has no limit of channels", "50 MB", "0.9"):
        assert said in bad["resource-limits"].finding.saw
    assert bad["metrics-exported"].verdict.value == "pass", "mended already"


def test_the_node_mended_as_the_report_says_passes(node, bad, look):
    node.run(*shlex.split(named(bad["default-credentials"], "rabbitmqctl add_user").replace("NAME", "boss")), PASSWORD)
    node.run(*shlex.split(named(bad["default-credentials"], "rabbitmqctl set_user_tags").replace("NAME", "boss")))
    node.run(*shlex.split(named(bad["vhosts"], "rabbitmqctl add_vhost")))
    change(node, "permissions/shop/till", {"configure": "^$", "write": "^sales$", "read": "^$"})
    change(node, "permissions/%2F/till", None)
    for vhost in ("/", "shop"):
        node.run(*shlex.split(named(bad["resource-limits"], "rabbitmqctl set_vhost_limits").replace("VHOST", vhost)))
    node.run(*shlex.split(named(bad["resource-limits"], "rabbitmqctl set_user_limits").replace("USER", "till")))
    node.run(*shlex.split(named(bad["feature-flags"], "rabbitmqctl enable_feature_flag")))
    node.run(*shlex.split(named(bad["default-credentials"], "rabbitmqctl delete_user")))

    lines = [named(bad["resource-limits"], start) for start in ("disk_free_limit", "vm_memory")]
    lines += re.findall(r"auth_mechanisms\.\d+ = \w+", bad["anonymous-login"].finding.mend)
    keys = {line.partition(" ")[0] for line in lines}
    kept = [line for line in BAD_CONF.splitlines() if line.partition(" ")[0] not in keys]
    good = "\n".join([*kept, *lines, ""])
    node.put({"etc/rabbitmq/rabbitmq.conf": good} | certificate(days=90))
    node.restart()
    asked = {"auth": ("boss", PASSWORD)}
    broker.wait_until(lambda: node.answers(15672, "api/overview", **asked), within=90, what="the node to start again")

    passing = dict.fromkeys((id for id in BAD_NODE if id not in ("durable-queues", "odd-nodes", "persistent-storage")), "pass")
    told(lambda: verdicts(look("boss", good), *passing) == passing, "all of it mended")
    assert look("boss", good)["durable-queues"].verdict.value == "not applicable", "the restart has deleted the queue, as the report warned"


POOR_PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
scrape_configs:
  - job_name: rabbitmq
    static_configs: [{targets: ["rabbit1:15692", "rabbit2:15692"]}]
rule_files: [rules/*.yml]
"""
POOR_RULES = """
groups:
  - name: poor
    rules: [{alert: Memory, expr: rabbitmq_alarms_memory_used_watermark > 0}]
"""
LAB = ROOT / "docker" / "prometheus"
# The lab's Alertmanager is named, and told nothing: what rings here is no business of those who watch it.
SILENT = "alerting:\n  alert_relabel_configs: [{action: drop, source_labels: [alertname], regex: .+}]\n"


@pytest.fixture
def prometheus():
    """One that nobody has finished: a node is missing, one rule says what rings and not why, and nobody is told."""
    if not ports.taken(PROMETHEUS_PORT):
        needs.missing("Prometheus does not run: ./lab up --monitoring")
    poor = Throwaway(
        "prometheus",
        {"etc/prometheus/prometheus.yml": POOR_PROMETHEUS, "etc/prometheus/rules/poor.yml": POOR_RULES},
        command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus", "--web.enable-lifecycle"],
        network=next(each.name for each in containers.networks_of(containers.of("rabbit1")) if each.name.endswith("cluster")),
        tmpfs={"/prometheus": "size=64m"},
        ports=[9090],
    )
    with thrown_away(poor):
        broker.wait_until(lambda: poor.answers(9090, "-/ready"), within=60, what="Prometheus to start")
        yield poor


def test_a_prometheus_made_bad_fails_and_with_the_files_of_the_lab_does_not(prometheus, room):
    url = f"http://{HOST}:{prometheus.port(9090)}"

    def look():
        return verdicts(audited(room.vhost, prometheus=url), *BAD_PROMETHEUS)

    told(lambda: look() == dict.fromkeys(BAD_PROMETHEUS, "fail"), "all that is wrong with it")
    missed = ("rabbit@rabbit3",)
    told(lambda: audited(room.vhost, prometheus=url)["monitoring"].finding.objects == missed, "one node not to be asked")
    results = audited(room.vhost, prometheus=url)
    assert results["documentation"].finding.objects == ("Memory",)
    assert "runbook_template.md" in results["documentation"].item.mend
    for subject in ("queue depth", "disk", "queues without a consumer", "nodes that are gone", "connections", "message rates"):
        assert subject in results["alerts"].finding.saw

    configuration = (LAB / "prometheus.yml").read_text().replace("alerting:\n", SILENT)
    files = {f"etc/prometheus/rules/{file.name}": file.read_text() for file in (LAB / "rules").glob("*.yml")}
    prometheus.put(files | {"etc/prometheus/prometheus.yml": configuration, "etc/prometheus/rules/poor.yml": "groups: []\n"})
    httpx.post(f"{url}/-/reload").raise_for_status()
    mended = dict.fromkeys(BAD_PROMETHEUS, "pass") | {"alerting": "cannot be seen", "documentation": "cannot be seen"}
    told(lambda: look() == mended, "what the lab's own files mend")
