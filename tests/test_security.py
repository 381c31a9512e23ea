"""What lesson 4.5 and its reference page say of nodes that the course itself does not run: seen on two nodes that live for this test."""

import re
import socket
import subprocess
import time
import uuid

import pika
import pytest

from rabbitlab import cluster
from rabbitlab.units import ROOT

PAGE = ROOT / "docs" / "module_4_production" / "reference_05_security.md"
TLS = ROOT / "docker" / "inter-node-tls" / "inter_node_tls.config"
START = ROOT / "docker" / "rabbitmq" / "start-node.sh"
COOKIE = ROOT / "docker" / "rabbitmq" / "erlang_cookie"
VARIABLES = ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "RABBITMQ_CTL_ERL_ARGS")
NODES = ("node1", "node2")
# Nothing but what two nodes need to find each other: the rest are RabbitMQ's own defaults.
CONFIGURATION = """
loopback_users = none
log.console = true
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = rabbit@node1
cluster_formation.classic_config.nodes.2 = rabbit@node2
"""


def docker(*words, check=True):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=check)


def wait_for(condition, within=180):
    deadline = time.monotonic() + within
    while not (last := condition()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.5)
    return last


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Two nodes with TLS between them, as the page says, and otherwise with default settings; name in the test to container."""
    import trustme

    files = tmp_path_factory.mktemp("nodes")
    keys = files / "tls"
    keys.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(*NODES)
    authority.cert_pem.write_to_path(keys / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(keys / "node.pem")
    certificate.private_key_pem.write_to_path(keys / "node.key")
    (files / "rabbitmq.conf").write_text(CONFIGURATION)
    for path in (keys, *keys.iterdir(), files / "rabbitmq.conf"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the server is another user, and these keys open nothing
    name = f"rabbitmq-by-doing-test-{uuid.uuid4().hex[:8]}"
    arguments = f"-proto_dist inet_tls -ssl_dist_optfile /etc/rabbitmq/{TLS.name}"
    mounts = {keys: "/run/tls", TLS: f"/etc/rabbitmq/{TLS.name}", files / "rabbitmq.conf": "/etc/rabbitmq/rabbitmq.conf"}
    mounts |= {START: "/etc/rabbitmq/start-node.sh", COOKIE: "/run/secrets/erlang_cookie"}
    options = [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}:ro")]
    options += [word for variable in VARIABLES for word in ("--env", f"{variable}={arguments}")]
    image = cluster.compose("config", "--images", "rabbit1", capture=True, check=True).stdout.split()[0]
    try:
        docker("network", "create", name)
        for node in NODES:
            run = ["run", "--detach", "--name", f"{name}-{node}", "--network", name, "--network-alias", node, "--hostname", node]
            docker(*run, "--publish", "127.0.0.1::5672", *options, "--entrypoint", "sh", image, "/etc/rabbitmq/start-node.sh")
        yield {node: f"{name}-{node}" for node in NODES}
    finally:
        docker("rm", "--force", "--volumes", *(f"{name}-{node}" for node in NODES), check=False)
        docker("network", "rm", name, check=False)


def members(container):
    """The nodes that are in the cluster, as rabbitmqctl in the container says."""
    said = docker("exec", container, "rabbitmqctl", "--quiet", "eval", "rabbit_nodes:list_running().", check=False).stdout
    return set(re.findall(r"rabbit@(\w+)", said))


def test_the_page_shows_the_settings_that_are_tried_here():
    page = PAGE.read_text()
    assert TLS.read_text() in page
    for variable in VARIABLES:
        assert f"{variable}=-proto_dist inet_tls -ssl_dist_optfile /etc/rabbitmq/{TLS.name}\n" in page


@pytest.mark.cluster
class TestNodes:
    def test_form_a_cluster_over_tls(self, nodes):
        assert wait_for(lambda: members(nodes["node1"]) == set(NODES))

    def test_are_not_reached_by_a_tool_without_tls(self, nodes):
        without = docker("exec", "--env", "RABBITMQ_CTL_ERL_ARGS=", nodes["node1"], "rabbitmqctl", "status", check=False)
        assert without.returncode != 0
        assert "Erlang distribution failed" in without.stdout + without.stderr

    def test_let_anybody_in_without_a_name_by_default(self, nodes):
        """ANONYMOUS is among the mechanisms of a node with default settings, and logs in as the default user."""
        port = int(docker("port", nodes["node1"], "5672").stdout.rpartition(":")[2])
        wait_for(lambda: mechanisms(port))
        assert "ANONYMOUS" in mechanisms(port)
        pika.credentials.VALID_TYPES.append(Anonymous)
        try:
            with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=Anonymous())) as connection:
                connection.channel().queue_declare(queue="anybody", durable=True)
        finally:
            pika.credentials.VALID_TYPES.remove(Anonymous)
        wait_for(lambda: "User 'guest' authenticated successfully" in docker("logs", nodes["node1"]).stdout, within=10)


class Anonymous:
    """A login without a name."""

    TYPE = "ANONYMOUS"
    erase_on_connect = False

    def response_for(self, start):
        return "ANONYMOUS", b""

    def erase_credentials(self):
        """There is nothing to forget."""


def mechanisms(port):
    """By which mechanisms a node lets clients log in; empty while it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            found = re.search(rb"([A-Z0-9 -]+)\x00\x00\x00\x05en_US", connection.recv(4096))
    except OSError:
        return []
    return found[1].decode().split() if found else []
