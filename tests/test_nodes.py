"""docker-compose.yml starts the nodes; rabbitlab.nodes says the same."""

import yaml

from rabbitlab import containers, limits
from rabbitlab.nodes import ADMIN, HOST, LOAD_BALANCER_PORT, NODES, PROFILES
from rabbitlab.units import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


def published(service: str) -> dict[int, tuple[str, int]]:
    """Port in the container -> (address, port on this machine; 0 where any will do)."""
    ports = [port.split(":") for port in SERVICES[service].get("ports", [])]
    return {int(inside): (address, int(outside or 0)) for address, outside, inside in ports}


def test_the_nodes_are_the_compose_services_that_run_rabbitmq():
    images = {name: service["image"] for name, service in SERVICES.items() if "profiles" not in service}
    assert [name for name, image in images.items() if "rabbitmq" in image] == [node.name for node in NODES]


def test_each_node_publishes_the_ports_that_nodes_names():
    for node in NODES:
        assert published(node.name) == {5672: (HOST, node.amqp), 15672: (HOST, node.management), 15692: (HOST, node.metrics)}, node.name


def test_the_load_balancer_publishes_its_port():
    assert published("haproxy")[LOAD_BALANCER_PORT] == (HOST, LOAD_BALANCER_PORT)


def test_the_services_of_a_profile_publish_the_ports_that_nodes_names():
    for profile, services in PROFILES.items():
        for service, ports in services.items():
            assert published(service) == {port: (HOST, port) for port in ports}, service
            assert profile in str(SERVICES[service]["profiles"])


def test_heal_connects_a_service_to_the_networks_that_compose_gave_it():
    for service, networks in containers.NETWORKS.items():
        assert set(SERVICES[service]["networks"]) == set(networks), service


def test_heal_sets_the_limits_that_the_nodes_start_with():
    assert [(limit.configured, limit.bytes) for limit in limits.LIMITS] == [("384MiB", 384 * 2**20), ("200MB", 200 * 10**6)]


def test_a_node_is_called_by_its_host_name():
    for node in NODES:
        assert SERVICES[node.name]["hostname"] == node.name
        assert node.erlang_name == f"rabbit@{node.name}"


def test_the_nodes_find_each_other_by_the_same_names():
    conf = (ROOT / "docker" / "rabbitmq" / "rabbitmq.conf").read_text()
    for number, node in enumerate(NODES, start=1):
        assert f"cluster_formation.classic_config.nodes.{number} = {node.erlang_name}\n" in conf


def test_every_port_is_bound_to_this_machine_alone():
    assert {address for name in SERVICES for address, _ in published(name).values()} == {HOST}


def test_the_tools_administrator_is_one_that_the_nodes_load():
    definitions = yaml.safe_load((ROOT / "docker" / "rabbitmq" / "definitions.json").read_text())
    assert [user["tags"] for user in definitions["users"] if user["name"] == ADMIN[0]] == [["administrator"]]
