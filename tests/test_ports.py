"""Which ports are taken, and by whom."""

import os
import socket

import pytest

from rabbitlab import ports


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_taken(listener):
    assert ports.taken(listener)
    assert ports.free_from(listener) > listener


def test_a_port_that_nobody_listens_on_is_free(listener):
    free = ports.free_from(listener)
    assert not ports.taken(free)


def test_the_holder_is_the_process_that_listens(listener, monkeypatch):
    monkeypatch.setattr(ports, "_container", lambda port: None)
    found = ports.holder(listener)
    assert f"process {os.getpid()}" in found.what
    assert found.mend == f"kill {os.getpid()}"


def test_another_rabbitmq_is_called_so(monkeypatch):
    import psutil

    class Node:
        def __init__(self, pid):
            pass

        def name(self):
            return "beam.smp"

        def cmdline(self):
            return ["beam.smp", "-sname", "rabbit@laptop"]

    monkeypatch.setattr(psutil, "Process", Node)
    found = ports._describe(812)
    assert found.what == "another RabbitMQ (process 812)"
    assert "systemctl stop rabbitmq-server" in found.mend


def test_a_container_is_named(listener, monkeypatch):
    monkeypatch.setattr(ports, "_container", lambda port: "shop-mq-1")
    assert ports.holder(listener).mend == "docker stop shop-mq-1"


def test_what_a_user_may_not_see_is_said(listener, monkeypatch):
    import psutil

    def denied(kind):
        raise psutil.AccessDenied

    monkeypatch.setattr(ports, "_container", lambda port: None)
    monkeypatch.setattr(psutil, "net_connections", denied)
    assert ports.holder(listener).what == "a process of another user"
