"""The audit as a program: options, exit status, forms of the report, and the course whose checklists it asks."""

import io
import json
import re
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from markdown.extensions import toc

from rabbitlab import audit
from rabbitlab.audit import as_json, asking, reading
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.units import ROOT
from tests.audit_cluster import NODES, Served, classic, consumer, orderly, serving


class TestAsAProgram:
    """``./lab audit`` from its options to its exit status, against a server that answers as RabbitMQ does."""

    @pytest.fixture
    def run(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        configuration = tmp_path / "rabbitmq.conf"
        configuration.write_text("vm_memory_high_watermark.relative = 0.5  # of what there is\n")

        def run_it(served, **options):
            with serving(served) as url:
                source = audit.Source(
                    url=url, user="auditor", password_env="THE_PASSWORD", prometheus=url, metrics=(url,), config=str(configuration)
                )
                status = audit.run(source, **options)
            return status, capsys.readouterr()

        return run_it

    def test_nothing_failed(self, run):
        status, said = run(Served(orderly()))
        assert status == 0, said.out
        assert re.search(r"\n\d+ cannot be seen, \d+ pass, \d+ not applicable\n", said.out)

    def test_something_failed(self, run):
        parts = orderly()
        parts["queues"].append(classic("fleeting", durable=False))
        status, said = run(Served(parts))
        assert status == 1
        assert "FAIL   Durable queues" in said.out
        assert "fleeting in shop" in said.out

    def test_it_asks_with_get_and_nothing_else(self, run):
        served = Served(orderly())
        run(served)
        assert {method for method, _ in served.asked} == {"GET"}
        assert len(served.asked) > 20

    def test_anything_but_get_is_stopped_before_it_is_sent(self):
        served = Served(orderly())
        with serving(served) as url:
            asker = asking.Asker(url, tls=asking.trust())
            with pytest.raises(AssertionError, match="only reads"):
                asker._client.post("api/queues")
        assert served.asked == []

    def test_the_json_has_the_form_that_it_promises(self, run):
        status, said = run(Served(orderly()), as_json=True)
        told = json.loads(said.out)
        assert told["schema"] == 1
        assert told["exit_status"] == status == 0
        assert told["cluster"] == {"name": "shop", "product": "RabbitMQ", "version": "4.3.6", "nodes": list(NODES)}
        assert told["read"].keys() == {"url", "user", "tags", "at", "unread"}
        assert sum(told["summary"].values()) == len(told["items"]) == len(ITEMS)
        promised = set(re.findall(r"``items\[\]\.(\w+)``", as_json.__doc__))
        for item in told["items"]:
            assert item.keys() == promised
            assert item["verdict"] in told["summary"]
        assert "secret" not in said.out

    def test_the_screen_can_be_read_at_80_columns(self, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        parts = orderly()
        parts["queues"].append(classic("q" * 200, durable=False))
        _, said = run(Served(parts))
        assert max(map(len, said.out.splitlines())) <= 80

    def test_a_thousand_queues_are_read_page_by_page(self, run):
        parts = orderly()
        parts["queues"] += [classic(f"queue {n}") for n in range(1000)]
        _, said = run(Served(parts), as_json=True)
        item = next(item for item in json.loads(said.out)["items"] if item["id"] == "quorum-queues")
        assert len(item["objects"]) == 1000

    def test_a_user_who_only_monitors_sees_less_and_passes_less(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "watch", "tags": ["monitoring"]}
        administrators_only = {f"api/{path}": 401 for path in ("users", "permissions", "user-limits")}
        _, said = run(Served(parts, {**administrators_only, "api/queues/shop": 404}), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["default-credentials"]["verdict"] == told["permissions"]["verdict"] == "cannot be seen"
        assert "watch (monitoring) may not read users" in told["default-credentials"]["saw"]
        assert told["durable-queues"]["verdict"] == "cannot be seen"
        assert "may not enter shop" in told["durable-queues"]["saw"]
        assert told["odd-nodes"]["verdict"] == "pass"

    def test_a_user_without_the_tag_sees_only_its_own(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "developer", "tags": ["management"]}
        _, said = run(Served(parts, {"api/nodes": 401}), as_json=True)
        told = {item["id"]: item["verdict"] for item in json.loads(said.out)["items"]}
        assert told["odd-nodes"] == told["durable-queues"] == told["publisher-confirms"] == "cannot be seen"

    def test_one_virtual_host_is_judged_alone(self, run):
        parts = orderly()
        parts["vhosts"].append({"name": "toys"})
        parts["vhost_limits"].append({"vhost": "toys", "value": {"max-queues": 1}})
        parts["queues"].append(classic("fleeting", vhost="toys", durable=False))
        assert run(Served(parts))[0] == 1
        assert run(Served(parts), vhosts=["shop"])[0] == 0

    def test_what_is_deleted_while_it_reads_is_left_out(self, run):
        """RabbitMQ answers then with what it still has: a virtual host without its name, for instance."""
        parts = orderly()
        for part in ("vhosts", "queues", "connections", "consumers"):
            parts[part].append({"tracing": False})
        status, said = run(Served(parts), vhosts=["shop"])
        assert status == 0, said

    def test_only_queues_that_matter_must_be_safe(self, run):
        parts = orderly()
        parts["queues"].append(classic("toys"))
        assert run(Served(parts))[0] == 1
        assert run(Served(parts), important="^orders$")[0] == 0

    def test_a_consumer_that_its_program_has_lost_is_found(self, run, monkeypatch):
        monkeypatch.setattr(reading, "LAG", 0.1)
        parts = orderly()
        parts["consumers"].append(consumer("orders"))
        served = Served(parts)
        answer = served.answer
        served.answer = lambda path, params: (200, {"consumers": 1}) if path == "api/queues/shop/orders" else answer(path, params)
        _, said = run(served, as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["cancelled-consumers"]["verdict"] == "fail"
        assert told["cancelled-consumers"]["objects"] == ["orders in shop"]

    def test_a_page_is_written_beside_the_table(self, run, tmp_path):
        parts = orderly()
        parts["queues"].append(classic("<script>alert(1)</script>", durable=False))
        _, said = run(Served(parts), html=str(tmp_path / "report.html"))
        assert "FAIL" in said.out
        page = (tmp_path / "report.html").read_text()
        assert "<script" not in page
        assert not re.search(r"(src|href)=.(?!#)|@import|url\(", page), "the page needs something else"
        assert all(f'id="{item.id}"' in page for item in ITEMS)

    def test_a_page_that_cannot_be_written_is_no_report(self, run, tmp_path):
        status, said = run(Served(orderly()), html=str(tmp_path / "missing" / "report.html"))
        assert status == 2
        assert "cannot be written" in said.err


@contextmanager
def answering(what):
    """A port where whoever connects is told these bytes, whatever they say; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(2)
                    with suppress(OSError):
                        connection.recv(4096)
                        connection.sendall(what)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def status_and_error(capsys, monkeypatch, url, **more):
    monkeypatch.setenv("THE_PASSWORD", "secret")
    status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD", **more))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return status, said.err


class TestWhatCannotBeRead:
    """Exit status 2, and one line that says what mends it."""

    @pytest.mark.parametrize(
        ("bytes", "hint"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "no RabbitMQ management API"),
            (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"name": null', "no RabbitMQ management API"),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Management is on port 15672"),
            (b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere\r\nContent-Length: 0\r\n\r\n", "https://elsewhere"),
            (b'HTTP/1.1 401 No\r\nContent-Length: 26\r\n\r\n{"reason":"Login failed"}  ', "--password-env"),
            (b'HTTP/1.1 401 No\r\nContent-Length: 32\r\n\r\n{"reason":"Not management user"} ', "set_user_tags"),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "does not serve: 503"),
            (b"AMQP\x00\x00\x09\x01", "5672 is for AMQP"),
            (b"", "5672 is for AMQP"),
        ],
    )
    def test_another_server(self, bytes, hint, capsys, monkeypatch):
        with answering(bytes) as url:
            status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert hint in error

    def test_a_port_where_nobody_listens(self, capsys, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
        status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert "Nothing answers" in error

    def test_https_where_there_is_none(self, capsys, monkeypatch):
        with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            status, error = status_and_error(capsys, monkeypatch, url.replace("http:", "https:"))
        assert status == 2
        assert "Try http://" in error

    @pytest.mark.parametrize("url", ["rabbit", "ftp://rabbit", "http://", "http://rabbit:port", "https://rabbit:99999"])
    def test_no_address(self, url, capsys, monkeypatch):
        status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert "is no address" in error

    def test_a_password_in_the_address(self, capsys, monkeypatch):
        status, error = status_and_error(capsys, monkeypatch, "http://guest:hidden@localhost:15672")
        assert status == 2
        assert "--password-env" in error
        assert "hidden" not in error

    @pytest.mark.parametrize(
        ("option", "hint"),
        [
            ({"ca": "missing.pem"}, "--ca missing.pem"),
            ({"cert": "missing.pem"}, "--cert missing.pem"),
            ({"config": "missing.conf"}, "--config missing.conf"),
            ({"config": str(ROOT / "docker" / "rabbitmq" / "advanced.config")}, "not an advanced.config"),
        ],
    )
    def test_a_file_that_cannot_be_used(self, option, hint, capsys, monkeypatch):
        with serving(Served(orderly())) as url:
            status, error = status_and_error(capsys, monkeypatch, url, **option)
        assert status == 2
        assert hint in error

    def test_a_prometheus_that_is_none(self, capsys, monkeypatch):
        with serving(Served(orderly())) as url, answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as other:
            status, error = status_and_error(capsys, monkeypatch, url, prometheus=other)
        assert status == 2
        assert "--prometheus" in error

    def test_metrics_that_are_none(self, capsys, monkeypatch):
        with serving(Served(orderly())) as url, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n") as other:
            status, error = status_and_error(capsys, monkeypatch, url, metrics=(other,))
        assert status == 2
        assert "not with metrics of RabbitMQ" in error

    def test_a_virtual_host_that_is_not_there(self, capsys, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        with serving(Served(orderly())) as url:
            status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"), vhosts=["toys"])
        assert status == 2
        assert "there are: /, shop" in capsys.readouterr().err

    def test_no_name_and_no_password(self, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert audit.run(audit.Source(url="http://localhost")) == 2
        assert "--user NAME" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor")) == 2
        assert "--password-env" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor", password_env="NOT_SET_AT_ALL")) == 2
        assert "NOT_SET_AT_ALL" in capsys.readouterr().err


README = (ROOT / "docs" / "module_4_production" / "README.md").read_text()
ROW = re.compile(r"^\| (?P<item>[^|]+) \| (?P<what>[^|]+) \| (?P<places>[^|]+) \| `(?P<id>[\w-]+)` \|$", re.M)


def rows(heading):
    """The rows of the tables below a heading of the module's page."""
    text = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    every = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| item", "| ---"))]
    found = [match.groupdict() for match in map(ROW.match, every) if match]
    assert len(found) == len(every) > 0, "a row without the id of its item in the audit"
    return found


class TestTheCourse:
    """The audit and the module's page hold the same checklists, and what they point to is there."""

    def test_every_line_of_the_readiness_checklist_is_an_item(self):
        lines = {row["id"]: row for row in rows("Production readiness checklist")}
        items = [item for item in ITEMS if item.checklist == "Production readiness"]
        assert list(lines) == [item.id for item in items]
        for item in items:
            assert lines[item.id]["item"].strip("*") == item.title
            assert set(item.lessons) <= set(links(lines[item.id]["places"])), f"{item.id} leads elsewhere than its line"

    def test_every_line_of_the_deployment_checklist_is_an_item(self):
        lines = {row["id"]: row for row in rows("Deployment checklist")}
        again = {item.id: item for item in ITEMS if item.checklist == "Deployment" or item.deployment}
        assert set(lines) == set(again)
        for id, item in again.items():
            assert lines[id]["item"] == (item.deployment or item.title)
            if not item.deployment:
                assert set(item.lessons) <= set(links(lines[id]["places"])), f"{id} leads elsewhere than its line"

    @pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
    def test_a_lesson_is_where_the_item_says(self, item):
        assert item.lessons
        for lesson in item.lessons:
            path, _, anchor = lesson.partition("#")
            page = ROOT / path
            assert page.is_file(), path
            headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
            assert not anchor or anchor in {toc.slugify(toc.strip_tags(heading.replace("`", "")), "-") for heading in headings}, lesson

    def test_items_have_names_of_their_own(self):
        assert len({item.id for item in ITEMS}) == len(ITEMS)

    def test_the_reference_page_lists_what_no_checklist_asks(self):
        page = (ROOT / "docs" / "module_4_production" / "reference_08_audit.md").read_text()
        for item in ITEMS:
            if item.checklist == "As it runs now":
                assert f"`{item.id}`" in page


def links(text):
    """The places that a cell of the page links to, as paths from the course's root."""
    return [f"docs/module_4_production/{place}" for place in re.findall(r"\]\(([^)]+)\)", text)]


def test_a_queue_whose_node_has_no_numbers_yet_is_not_suspected(monkeypatch):
    consumers = [{"queue": {"vhost": "/", "name": "slow"}}]

    class Asker:
        def json(self, path, **_):
            return consumers if path == "api/consumers" else []

    monkeypatch.setattr(reading, "LAG", 0.1)
    assert reading.cancelled(Asker(), [{"vhost": "/", "name": "slow", "consumers": 0}], consumers) == []
