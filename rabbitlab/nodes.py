"""The nodes of the course's cluster and the ports they publish: data, no I/O.

docker-compose.yml is what starts them; a test keeps the two equal.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A RabbitMQ node as seen from this machine.

    Attributes:
        name: The compose service, also the host name: ``rabbit1``.
        amqp: Port of AMQP 0-9-1 on 127.0.0.1.
        management: Port of the management UI and HTTP API.
        metrics: Port of the Prometheus endpoint.
    """

    name: str
    amqp: int
    management: int
    metrics: int

    @property
    def erlang_name(self) -> str:
        """The name by which RabbitMQ's own tools call the node: ``rabbit@rabbit1``."""
        return f"rabbit@{self.name}"


HOST = "127.0.0.1"
NODES = (
    Node("rabbit1", amqp=5672, management=15672, metrics=15692),
    Node("rabbit2", amqp=5673, management=15673, metrics=15693),
    Node("rabbit3", amqp=5674, management=15674, metrics=15694),
)
BY_NAME = {node.name: node for node in NODES}
LOAD_BALANCER_PORT = 5670
TLS_PORT = 5671  # profile tls
PROMETHEUS_PORT = 9090  # profile monitoring, as the next two
ALERTMANAGER_PORT = 9093
GRAFANA_PORT = 3000
TLS_MANAGEMENT_PORT = 15671  # profile tls, as the next one
TLS_METRICS_PORT = 15691

# What runs only when it is asked for: the compose profile, its services, and the ports that each publishes.
PROFILES: dict[str, dict[str, tuple[int, ...]]] = {
    "monitoring": {"prometheus": (PROMETHEUS_PORT,), "alertmanager": (ALERTMANAGER_PORT,), "grafana": (GRAFANA_PORT,)},
    "tls": {"rabbit-tls": (TLS_PORT, TLS_MANAGEMENT_PORT, TLS_METRICS_PORT)},
}

# The lab's own administrator, made by docker/rabbitmq/definitions.json. It opens a cluster that listens on loopback only.
ADMIN = ("lab", "lab-on-this-machine-only")
