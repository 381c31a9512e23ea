"""The audit as a program: options, exit status, forms of the report, and the course whose checklists it asks."""

import io
import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from markdown.extensions import toc

from rabbitlab import audit
from rabbitlab.audit import as_json, asking, consumers
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import judge
from rabbitlab.units import ROOT
from tests.audit_cluster import NODES, Served, classic, consumer, listener, orderly, queue, serving


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

    def reading_queues(self, run, queues, second_page):
        """The items, by name, where these queues are there at first, and the second page of them is answered otherwise."""
        parts = orderly()
        parts["queues"] = queues
        served = Served(parts)
        answer = served.answer

        def answer_otherwise(path, params):
            asked = path == "api/queues" and params["page"] == ["2"]
            return second_page if asked else answer(path, params)

        served.answer = answer_otherwise
        _, said = run(served, as_json=True)
        return {item["id"]: item for item in json.loads(said.out)["items"]}

    @pytest.mark.parametrize(("first", "verdict"), [(classic("fleeting", durable=False), "fail"), (queue("orders"), "cannot be seen")])
    def test_queues_that_go_while_they_are_read_hide_no_others(self, first, verdict, run):
        gone = 400, {"error": "bad_request", "reason": "Page out of range"}
        durable = self.reading_queues(run, [first, *(queue(f"queue {n}") for n in range(600))], gone)["durable-queues"]
        assert durable["verdict"] == verdict
        assert verdict == "fail" or "came and went" in durable["saw"]

    def test_a_queue_that_is_read_twice_counts_once(self, run):
        """One that came meanwhile has moved it to the next page."""
        queues = [classic(f"queue {n}", durable=False) for n in range(501)]
        again = {"items": queues[499:], "page": 2, "page_count": 2, "total_count": 502}
        durable = self.reading_queues(run, queues, (200, again))["durable-queues"]
        assert len(durable["objects"]) == 501

    def test_queues_that_came_while_they_were_read_may_hide_one_that_went(self, run):
        queues = [queue(f"queue {n}") for n in range(501)]
        fewer = {"items": queues[500:], "page": 2, "page_count": 2, "total_count": 502}
        durable = self.reading_queues(run, queues, (200, fewer))["durable-queues"]
        assert durable["verdict"] == "cannot be seen"
        assert "came and went" in durable["saw"]

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

    def test_virtual_hosts_that_could_not_be_read_may_hide_queues(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "watch", "tags": ["monitoring"]}
        _, said = run(Served(parts, {"api/vhosts": 500}), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        for id in ("durable-queues", "dead-letter-exchanges", "quorum-queues", "queue-bounds", "stuck-messages"):
            assert told[id]["verdict"] == "cannot be seen", id
            assert "which virtual hosts there are" in told[id]["saw"]

    def test_an_administrator_sees_the_queues_of_all_virtual_hosts_even_where_these_could_not_be_read(self, run):
        _, said = run(Served(orderly(), {"api/vhosts": 500}), as_json=True)
        told = {item["id"]: item["verdict"] for item in json.loads(said.out)["items"]}
        assert told["durable-queues"] == "pass"

    @pytest.mark.parametrize("refused", [500, 503])
    def test_queues_that_could_not_be_listed_are_not_said_to_be_forbidden(self, refused, run):
        parts = orderly()
        parts["whoami"] = {"name": "watch", "tags": ["monitoring"]}
        _, said = run(Served(parts, {"api/queues/shop": refused}), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["durable-queues"]["verdict"] == "cannot be seen"
        assert "the queues of shop could not be listed" in told["durable-queues"]["saw"]
        assert "set_permissions" not in told["durable-queues"]["saw"]

    def test_whether_it_may_enter_a_virtual_host_is_asked_of_those_that_were_chosen(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "watch", "tags": ["monitoring"]}
        parts["vhosts"].append({"name": "toys"})
        served = Served(parts)
        run(served, vhosts=["shop"])
        asked = [path for _, path in served.asked if path.startswith("api/queues/")]
        assert asked == ["api/queues/shop"]

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

    @pytest.mark.parametrize(
        ("part", "bad", "closing", "id"),
        [
            ("consumers", consumer("orders", prefetch_count=0), consumer("parcels", channel_details=[]), "prefetch"),
            (
                "channels",
                {"confirm": False, "message_stats": {"publish": 1}},
                {"connection_details": [], "message_stats": []},
                "publisher-confirms",
            ),
            ("queues", classic("fleeting", durable=False), queue("parcels", effective_policy_definition=[]), "dead-letter-exchanges"),
        ],
    )
    def test_a_list_in_place_of_an_object_hides_nothing(self, part, bad, closing, id, run):
        """RabbitMQ before 4.1 answers so with an object without anything in it, as of a channel that is closing."""
        parts = orderly()
        parts[part] += [bad, closing]
        _, said = run(Served(parts), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told[id]["verdict"] == "fail", told[id]

    def test_only_queues_that_matter_must_be_safe(self, run):
        parts = orderly()
        parts["queues"].append(classic("toys"))
        assert run(Served(parts))[0] == 1
        assert run(Served(parts), important="^orders$")[0] == 0

    def test_a_consumer_that_its_program_has_lost_is_found(self, run, monkeypatch):
        monkeypatch.setattr(consumers, "LAG", 0.1)
        parts = orderly()
        parts["consumers"].append(consumer("orders"))
        served = Served(parts)
        answer = served.answer
        orders = {"consumers": 1, "consumer_details": [consumer("orders"), {"channel_details": []}, consumer("orders")]}
        served.answer = lambda path, params: (200, orders) if path == "api/queues/shop/orders" else answer(path, params)
        _, said = run(served, as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["cancelled-consumers"]["verdict"] == "fail"
        assert told["cancelled-consumers"]["objects"] == ["orders in shop"]
        assert [path for _, path in served.asked].count("api/consumers") == 1

    def test_a_prometheus_that_knows_nothing_of_what_was_lost_proves_nothing(self, run):
        served = Served(orderly())
        answer = served.answer
        nothing = {"status": "success", "data": {"result": []}}
        served.answer = lambda path, params: (200, nothing) if "increase(" in params.get("query", [""])[0] else answer(path, params)
        _, said = run(served, as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["lost-in-silence"]["verdict"] == "cannot be seen"

    def test_what_a_node_lost_counts_also_while_prometheus_does_not_reach_it(self, run):
        served = Served(orderly())
        run(served)
        assert len(served.counted) > 1
        for query in served.counted:
            assert re.search(r"increase\(.*\[1d\].*last_over_time\(rabbitmq_identity_info\{[^}]*\}\[1d\]\)", query), query

    def test_what_mqtt_publishes_to_nobody_is_not_lost(self, run):
        served = Served(orderly() | {"watched": set()})
        answer = served.answer
        counter = "rabbitmq_global_messages_unroutable_dropped_total"
        figures = f'rabbitmq_identity_info{{rabbitmq_node="{NODES[0]}"}} 1\n{counter}{{protocol="mqtt311"}} 7\n'
        served.answer = lambda path, params: (200, figures) if path == "metrics" else answer(path, params)
        _, said = run(served, as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["lost-in-silence"]["verdict"] == "cannot be seen", told["lost-in-silence"]

    def test_metrics_of_another_cluster_that_answer_at_a_guessed_address_are_left_out(self, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        other = 'rabbitmq_identity_info{rabbitmq_node="rabbit@elsewhere",rabbitmq_cluster_permanent_id="theirs"} 1\n'
        lost = 'rabbitmq_global_messages_unroutable_dropped_total{protocol="amqp091"} 9\n'
        served = Served(orderly())
        answer = served.answer
        served.answer = lambda path, params: (200, other + lost) if path == "metrics" else answer(path, params)
        with serving(served) as url:
            port = int(url.rpartition(":")[2])
            served.parts["listeners"] = [listener(NODES[0], "http/prometheus", port)]
            report = audit.audit(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"))
        (finding,) = [result.finding for result in report.results if result.item.id == "lost-in-silence"]
        assert finding.verdict.value == "cannot be seen"
        assert "rabbit@elsewhere" in finding.saw

    def test_a_queue_of_a_moment_ago_is_not_judged_by_a_policy_that_is_not_told(self, run):
        parts = orderly()
        parts["queues"].append(queue("fresh"))
        del parts["queues"][-1]["effective_policy_definition"]
        _, said = run(Served(parts), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["dead-letter-exchanges"]["verdict"] == "cannot be seen"

    def test_which_consumer_is_active_and_which_bytes_are_persistent_is_asked(self, run):
        served = Served(orderly())
        answer, columns = served.answer, []
        served.answer = lambda path, params: columns.append((path, params.get("columns"))) or answer(path, params)
        run(served)
        assert "active" in dict(columns)["api/consumers"][0].split(",")
        assert {"message_bytes", "message_bytes_persistent"} <= set(dict(columns)["api/queues"][0].split(","))

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

    @pytest.mark.parametrize(
        "url",
        ["http://guest:hidden@localhost:15672", "guest:hidden@rabbit:15672", "http://guest:hid#den@rabbit", "http://guest:hid/den@rabbit"],
    )
    @pytest.mark.parametrize("option", ["url", "prometheus", "metrics"])
    def test_a_password_in_the_address(self, option, url, capsys, monkeypatch):
        with serving(Served(orderly())) as good:
            given = {"url": good} | {option: (url,) if option == "metrics" else url}
            status, error = status_and_error(capsys, monkeypatch, **given)
        assert status == 2
        assert "password into the address" in error
        assert "hid" not in error

    def test_a_fault_of_the_audit_is_no_failure_of_the_cluster(self, capsys, monkeypatch):
        def broken(*_, **__):
            raise RecursionError("too deep")

        monkeypatch.setattr(audit, "judge", broken)
        with serving(Served(orderly())) as url:
            status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert "too deep" in error

    def test_the_json_can_be_printed_on_any_terminal(self):
        parts = orderly()
        parts["queues"].append(classic("Aufträge", durable=False))
        report = audit.Report(judge(ITEMS, Seen(parts)), cluster={}, read={})
        assert "Auftr" in as_json.text(report)
        assert as_json.text(report).isascii()

    @pytest.mark.parametrize("answer", ["7", "[[]]", '{"items": 7}'])
    def test_an_answer_of_another_shape_is_a_part_that_was_not_read(self, answer, capsys, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        served = Served(orderly())
        usual = served.answer
        served.answer = lambda path, params: (200, answer) if path in ("api/queues", "api/users") else usual(path, params)
        with serving(served) as url:
            status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"), as_json=True)
        told = {item["id"]: item["verdict"] for item in json.loads(capsys.readouterr().out)["items"]}
        assert status == 0
        assert told["durable-queues"] == told["default-credentials"] == "cannot be seen"

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

    def test_metrics_of_another_cluster(self, capsys, monkeypatch):
        stranger = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrabbitmq_identity_info{rabbitmq_node="rabbit@elsewhere"} 1\n'
        with serving(Served(orderly())) as url, answering(stranger) as other:
            status, error = status_and_error(capsys, monkeypatch, url, metrics=(other,))
        assert status == 2
        assert "rabbit@elsewhere" in error

    def test_a_virtual_host_that_is_not_there(self, capsys, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        with serving(Served(orderly())) as url:
            status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"), vhosts=["toys"])
        assert status == 2
        assert "there are: /, shop" in capsys.readouterr().err

    def test_virtual_hosts_that_could_not_be_read(self, capsys, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        with serving(Served(orderly(), {"api/vhosts": 500})) as url:
            status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"), vhosts=["shop"])
        assert status == 2
        error = capsys.readouterr().err
        assert "could not be read" in error
        assert "There is no virtual host" not in error

    def test_no_name_and_no_password(self, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert audit.run(audit.Source(url="http://localhost")) == 2
        assert "--user NAME" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor")) == 2
        assert "--password-env" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor", password_env="NOT_SET_AT_ALL")) == 2
        assert "NOT_SET_AT_ALL" in capsys.readouterr().err


README = (ROOT / "docs" / "module_4_production" / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "module_4_production" / "reference_06_operations.md").read_text()  # has the deployment checklist once more
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
                (there,) = re.findall(rf"^\| {re.escape(item.title)} \|.*$", OPERATIONS, re.M)
                assert set(item.lessons) <= set(links(lines[id]["places"] + there)), f"{id} leads elsewhere than its lines"

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


LONG_AGO = 1_760_000_000_000  # in 2025, as RabbitMQ tells times


def consuming(queue):
    """A consumer of a queue in the virtual host ``/``."""
    return {"queue": {"vhost": "/", "name": queue}, "channel_details": {"connection_name": "packer"}}


def suspected(monkeypatch, details, connected_at=LONG_AGO):
    """The queues of *details* that are taken to have let go of a consumer, where all of them count none at first.

    Args:
        details: What each queue says when it is asked alone, by name.
        connected_at: When the consumers' program connected.
    """

    class Asker:
        def json(self, path, **_):
            told = details[path.removeprefix("api/queues/%2F/")]
            if isinstance(told, Exception):
                raise told
            return told

    monkeypatch.setattr(consumers, "LAG", 0.1)
    queues = [{"vhost": "/", "name": name, "consumers": 0} for name in details]
    return consumers.cancelled(Asker(), queues, [consuming(name) for name in details], [{"name": "packer", "connected_at": connected_at}])


def counting(consumers, held=1):
    """A queue that counts so many consumers, and whose consumers' channels have *held*."""
    return {"consumers": consumers, "consumer_details": [consuming("orders")] * held}


def test_a_queue_whose_node_has_no_numbers_yet_is_not_suspected(monkeypatch):
    assert suspected(monkeypatch, {"slow": []}) == []


def test_a_queue_that_is_deleted_meanwhile_does_not_hide_what_happened_to_another(monkeypatch):
    assert suspected(monkeypatch, {"deleted": asking.Refused(404, "Object Not Found"), "lost": counting(0)}) == [("/", "lost")]


def test_a_queue_that_has_counted_its_consumer_meanwhile_is_not_suspected(monkeypatch):
    assert suspected(monkeypatch, {"slow": counting(1), "gone": counting(0, held=0), "lost": counting(1, held=2)}) == [("/", "lost")]


@pytest.mark.parametrize("ago", [None, 0, 60])
def test_a_consumer_that_has_just_come_is_not_lost(ago, monkeypatch):
    """Where the statistics interval was raised, its queue counts it a minute later."""
    connected_at = None if ago is None else (time.time() - ago) * 1000
    assert suspected(monkeypatch, {"orders": counting(0)}, connected_at) == []


IDLE = "2025-10-09T08:53:20.000+00:00"  # long ago


def holding(monkeypatch, *, prefetch=3, unacked=3, ready=1, since=IDLE, later=IDLE, **consumer):
    """The queues whose consumer is taken to be stuck, where there is one, and its channel is looked at a second time."""
    monkeypatch.setattr(consumers, "LAG", 0.1)
    at_work = consuming("orders") | {"ack_required": True, "prefetch_count": prefetch, "channel_details": {"name": "one"}} | consumer
    looks = [{"name": "one", "messages_unacknowledged": unacked} | ({"idle_since": idle} if idle else {}) for idle in (since, later)]
    queues = [{"vhost": "/", "name": "orders", "messages_ready": ready}]
    return consumers.stuck(looks[:1], [at_work], queues, lambda: looks[1:])


def test_a_consumer_that_holds_several_and_does_nothing_is_stuck(monkeypatch):
    assert holding(monkeypatch) == [("/", "orders")]


@pytest.mark.parametrize(
    "change",
    [
        {"prefetch": 1, "unacked": 1},
        {"prefetch": 0, "unacked": 90},
        {"unacked": 2},
        {"ready": 0},
        {"since": None},
        {"since": "2525-10-09T08:53:20.000+00:00"},
        {"later": None},
        {"later": "2025-10-09T08:53:27.000+00:00"},
        {"active": False},
        {"ack_required": False},
    ],
    ids=lambda change: ", ".join(f"{key} {value}" for key, value in change.items()),
)
def test_a_consumer_that_may_be_at_work_is_not_stuck(change, monkeypatch):
    assert holding(monkeypatch, **change) == []
