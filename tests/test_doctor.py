"""Each check of ./lab doctor: once where all is well, once where something is wrong, by facts of our own."""

import shutil
from pathlib import Path

import pytest

from rabbitlab import broker, certificates, cluster, doctor, engine, images, ports, readiness, servers, wholeness
from rabbitlab.cluster import Container
from rabbitlab.doctor import Skipped
from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN
from rabbitlab.units import ROOT

GIB = doctor.GIB
ALL_RUN = {service: Container(service, "running", ROOT) for service in cluster.SERVICES}
ALL_RUN["rabbit-tls"] = Container("rabbit-tls", "running", ROOT, "Up 4 minutes (healthy)")
ILL = Container("rabbit-tls", "exited", ROOT, "Exited (1)")
NODE = {"name": "rabbit@rabbit1", "mem_alarm": False, "disk_free_alarm": False}


@pytest.fixture(autouse=True)
def healthy(monkeypatch, tmp_path):
    """A machine and a cluster with nothing wrong; each test changes one fact."""
    monkeypatch.setattr(doctor, "_locked", lambda: {"pika": "1.4.4"})
    monkeypatch.setattr(doctor, "_installed", lambda package: "1.4.4")
    monkeypatch.setattr(doctor, "_in_wsl", lambda: False)
    monkeypatch.setattr(doctor, "_engine_memory", lambda: 8 * GIB)
    monkeypatch.setattr(doctor, "_available_memory", lambda: 4 * GIB)
    monkeypatch.setattr(doctor, "_status_of", lambda path, login: 200)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100 * GIB, 50 * GIB, 50 * GIB))
    monkeypatch.setattr(engine, "state", lambda: "")
    monkeypatch.setattr(engine, "compose_command", lambda: ("docker", "compose"))
    monkeypatch.setattr(engine, "compose_version", lambda command: (2, 40))
    monkeypatch.setattr(ports, "taken", lambda port: False)
    monkeypatch.setattr(cluster, "is_running", lambda: True)
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN)
    monkeypatch.setattr(images, "source", lambda: "official")
    monkeypatch.setattr(broker, "running_nodes", lambda: ["rabbit1", "rabbit2", "rabbit3"])
    monkeypatch.setattr(broker, "version", images.course_version)
    monkeypatch.setattr(broker, "api", lambda path: [NODE])
    monkeypatch.setattr(wholeness, "OF_THE_NODES", (lambda: "",))
    monkeypatch.setattr(readiness, "message_missing", lambda: "")
    monkeypatch.setattr(certificates, "problem", lambda: "")
    monkeypatch.setattr(certificates, "stale", lambda: False)
    monkeypatch.setattr(servers, "RECORD", tmp_path / "servers.json")


def old_recipe(monkeypatch):
    monkeypatch.setattr(images, "source", lambda: "home-made from Debian packages")
    monkeypatch.setattr(images, "present", lambda image: True)
    monkeypatch.setattr(images, "up_to_date", lambda image: False)


def little_memory_left(monkeypatch):
    monkeypatch.setattr(cluster, "is_running", lambda: False)
    monkeypatch.setattr(doctor, "_available_memory", lambda: GIB)


def taken_port(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: {})
    monkeypatch.setattr(ports, "taken", lambda port: port == 5672)
    monkeypatch.setattr(ports, "holder", lambda port: ports.Holder("another RabbitMQ (process 812)", "systemctl stop rabbitmq-server"))


def parted(monkeypatch):
    monkeypatch.setattr(wholeness, "OF_THE_NODES", (lambda: "rabbit1 does not see rabbit2 run",))


def windows_disk(monkeypatch):
    monkeypatch.setattr(doctor, "_in_wsl", lambda: True)
    monkeypatch.setattr(doctor, "ROOT", Path("/mnt/c/course"))


def stale_record(monkeypatch):
    servers.RECORD.write_text("[]")


def fact(target, name, value):
    """A change of one fact: *target*.*name* answers *value*."""
    return lambda monkeypatch: monkeypatch.setattr(target, name, lambda *arguments: value)


# The check, what is wrong, what it must say, what it must name as the mend.
WRONG = [
    ("Python environment", fact(doctor, "_installed", "1.3.2"), "pika 1.3.2 instead of 1.4.4", "rm -rf .venv"),
    ("Python environment", fact(doctor, "_installed", None), "pika missing", "rm -rf .venv"),
    ("Place", windows_disk, "Windows disk", "cp -r"),
    ("Disk", fact(shutil, "disk_usage", shutil._ntuple_diskusage(9 * GIB, 8 * GIB, GIB)), "1.0 GiB", "docker system prune"),
    ("Docker engine", fact(engine, "state", "Cannot connect"), "Cannot connect", "./lab up --yes"),
    ("Docker Compose", fact(engine, "compose_command", ()), "2.23 or newer is missing", "./lab up --yes"),
    ("Memory", fact(doctor, "_engine_memory", 2 * GIB), "2.0 GiB", "Docker Desktop"),
    ("Memory", little_memory_left, "only 1.0 GiB", "close other programs"),
    ("Ports", taken_port, "port 5672 is taken by another RabbitMQ (process 812)", "systemctl stop rabbitmq-server"),
    ("Images", old_recipe, "older recipe", "docker/debian/build.sh"),
    ("Cluster", fact(broker, "running_nodes", ["rabbit1", "rabbit3"]), "not in the cluster: rabbit2", "./lab heal"),
    ("Cluster", fact(cluster, "containers", {**ALL_RUN, "rabbit1": Container("rabbit1", "exited", ROOT)}), "rabbit1", "./lab heal"),
    ("Cluster", fact(cluster, "containers", {**ALL_RUN, "rabbit1": Container("rabbit1", "paused", ROOT)}), "rabbit1", "./lab heal"),
    ("Cluster", parted, "does not see", "./lab heal"),
    ("Cluster", fact(cluster, "containers", {"rabbit1": Container("rabbit1", "running", Path("/other"))}), "/other", "./lab up --yes"),
    ("Load balancer", fact(readiness, "message_missing", "no message yet"), "no message yet", "./lab logs haproxy"),
    ("On request", fact(cluster, "containers", {"rabbit-tls": ILL}), "not healthy: rabbit-tls (Exited (1))", "./lab up --tls"),
    ("On request", fact(certificates, "problem", "server.pem expires soon"), "server.pem expires soon", "./lab certs"),
    ("On request", fact(certificates, "stale", True), "before its certificates were renewed", "./lab up --tls"),
    ("RabbitMQ version", fact(broker, "version", "4.2.1"), "RabbitMQ 4.2.1 runs", "./lab down"),
    ("guest", fact(doctor, "_status_of", 401), "cannot log in", "./lab heal"),
    ("Alarms", fact(broker, "api", [{**NODE, "mem_alarm": True}]), "alarm on rabbit@rabbit1", "./lab heal"),
    ("Background servers", stale_record, "do not run any more", "./lab stop"),
]
NEEDS_CLUSTER = ("Load balancer", "RabbitMQ version", "guest", "Alarms")


@pytest.mark.parametrize("name", doctor.CHECKS)
def test_a_check_finds_nothing_where_nothing_is_wrong(name):
    assert doctor.CHECKS[name]().mend is None


@pytest.mark.parametrize(("name", "change", "what", "mend"), WRONG)
def test_a_check_names_what_is_wrong_and_the_mend(monkeypatch, name, change, what, mend):
    change(monkeypatch)
    finding = doctor.CHECKS[name]()
    assert what in finding.what
    assert mend in (finding.mend or "")


def test_every_check_has_something_that_it_finds():
    assert {name for name, *_ in WRONG} == set(doctor.CHECKS)


@pytest.mark.parametrize("name", NEEDS_CLUSTER)
def test_without_a_cluster_there_is_nothing_to_say_of_it(monkeypatch, name):
    monkeypatch.setattr(cluster, "is_running", lambda: False)
    with pytest.raises(Skipped, match=r"\./lab up"):
        doctor.CHECKS[name]()


def test_what_was_never_started_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: {"rabbit1": ALL_RUN["rabbit1"]})
    with pytest.raises(Skipped, match=r"\./lab up --tls"):
        doctor.on_request()


def test_the_load_balancer_is_not_tried_where_a_declare_would_wait(monkeypatch):
    monkeypatch.setattr(broker, "running_nodes", lambda: ["rabbit3"])
    with pytest.raises(Skipped, match="too few nodes"):
        doctor.load_balancer()


def test_an_image_without_an_engine_is_not_looked_for(monkeypatch):
    monkeypatch.setattr(engine, "state", lambda: "Cannot connect")
    with pytest.raises(Skipped):
        doctor.image_source()


def test_the_doctor_ends_with_1_when_something_is_wrong_and_shows_only_then_a_mend(monkeypatch, capsys):
    assert doctor.run() == 0
    assert "Mend it" not in capsys.readouterr().out
    taken_port(monkeypatch)
    assert doctor.run() == 1
    out = capsys.readouterr().out
    assert "WRONG Ports: port 5672 is taken by another RabbitMQ (process 812)" in out
    assert "Mend it: systemctl stop rabbitmq-server" in out


def test_an_error_with_a_mend_is_a_finding_too(monkeypatch, capsys):
    def fails():
        raise Mendable("Another RabbitMQ than the course's answers on port 15672.")

    monkeypatch.setattr(broker, "version", fails)
    assert doctor.run() == 1
    assert "Another RabbitMQ than the course's" in capsys.readouterr().out


@pytest.mark.cluster
def test_a_login_is_really_tried(monkeypatch):
    monkeypatch.undo()
    assert doctor._status_of("whoami", ADMIN) == 200
    assert doctor._status_of("whoami", ("guest", "no password of guest's")) == 401


def test_the_lock_names_packages_and_their_versions(monkeypatch):
    monkeypatch.undo()
    assert doctor._locked()["pika"].startswith("1.")
