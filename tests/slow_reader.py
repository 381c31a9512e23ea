"""A pytest plugin that reads like a person: with ``--reader-pause SECONDS`` nbval waits that long before a cell whenever the notebook's
kernel holds an AMQP connection. Where none is held a pause cannot matter, so none is made.
"""

import time

import psutil

from rabbitlab.nodes import LOAD_BALANCER_PORT, NODES

AMQP_PORTS = {LOAD_BALANCER_PORT, *(node.amqp for node in NODES)}


def pytest_addoption(parser):
    parser.addoption("--reader-pause", type=float, default=0, metavar="SECONDS", help="pause before a cell while a connection is open")


def pytest_runtest_setup(item):
    seconds = item.config.getoption("--reader-pause")
    kernel = getattr(item.parent, "kernel", None)
    if seconds and kernel is not None and holds_a_connection(kernel.km.provisioner.pid):
        time.sleep(seconds)  # the reader reads


def holds_a_connection(pid: int) -> bool:
    """Whether the process has an open connection to one of the cluster's AMQP ports."""
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return any(c.status == psutil.CONN_ESTABLISHED and c.raddr and c.raddr.port in AMQP_PORTS for c in connections)
