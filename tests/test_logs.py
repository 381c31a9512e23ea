"""The logs of three nodes in one place: parsed, merged, searched, and shown without what differs from run to run."""

from datetime import UTC, datetime

import pika
import pytest

from rabbitlab import broker, cluster, logs

FIELDS = '"line":1,"pid":"<0.1598.0>","file":"x.erl"'
REFUSED = (
    'rabbit1-1  | 2026-11-22T01:42:18.045123456Z {"time":"2026-11-22 01:42:18.043744+00:00","level":"warning",'
    f'"msg":"User \'guest\' failed to authenticate: user \'guest\' - invalid credentials","domain":"rabbitmq.user",{FIELDS}}}\n'
)
CLOSING = (
    'rabbit2-1  | 2026-11-22T01:42:17.045123456Z {"time":"2026-11-22 01:42:17.043744+00:00","level":"info","msg":"closing AMQP connection '
    f'<0.15.0> (172.18.0.1:54748 -> 172.18.0.2:5672, duration: \'235ms\'):\\nby peer","domain":"rabbitmq.connection",{FIELDS}}}\n'
)
BANNER = "rabbit3-1  | 2026-11-22T01:42:18.000000001Z   ##########  Copyright\n"
LAST_OF_BANNER = f"rabbit3-1  | 2026-11-22T01:42:18.5Z   Starting broker...{REFUSED[REFUSED.index('{') :]}"


def test_a_line_of_json_is_read_whole():
    (line,) = logs.parsed([REFUSED])
    assert (line.node, line.level, line.category) == ("rabbit1", "warning", "user")
    assert line.time == datetime(2026, 11, 22, 1, 42, 18, 43744, tzinfo=UTC)
    assert line.shown() == (
        "01:42:18.043 rabbit1 [warning] user       User 'guest' failed to authenticate: user 'guest' - invalid credentials"
    )


def test_what_is_no_json_passes_through():
    (line,) = logs.parsed([BANNER])
    assert (line.level, line.category, line.text) == ("", "", "  ##########  Copyright")
    assert line.time.tzinfo


def test_json_behind_the_last_words_of_the_banner_is_found():
    (line,) = logs.parsed([LAST_OF_BANNER])
    assert (line.node, line.level) == ("rabbit3", "warning")


def test_what_differs_from_run_to_run_is_not_printed():
    (line,) = logs.parsed([CLOSING])
    assert str(line) == "rabbit2 [info] connection closing AMQP connection (<address> -> <address>, duration: <time>): by peer"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, 3),
        ({"text": "FAILED to auth"}, 1),
        ({"level": "warning"}, 1),
        ({"level": "info"}, 2),
        ({"category": "connection"}, 1),
        ({"since": datetime(2026, 11, 22, 1, 42, 18, tzinfo=UTC)}, 2),
    ],
)
def test_lines_are_found_by_text_level_category_and_time(monkeypatch, wanted, found):
    class Done:
        stdout = REFUSED + CLOSING + BANNER

    monkeypatch.setattr(cluster, "compose", lambda *words, **options: Done)
    lines = logs.search(**wanted)
    assert len(lines) == found
    assert lines == sorted(lines, key=lambda line: line.time)


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="warning, error"):
        logs.matches(next(logs.parsed([REFUSED])), level="grave")


@pytest.mark.cluster
def test_a_failed_login_on_any_node_is_found():
    began = datetime.now(UTC)
    for port in (5672, 5674):
        wrong = pika.ConnectionParameters("localhost", port=port, credentials=pika.PlainCredentials("test_logs", "x"))
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(wrong)
    broker.wait_until(lambda: len(refusals(began)) == 2, what="two refused logins in the logs", seen=lambda: logs.search(since=began))
    assert [line.node for line in refusals(began)] == ["rabbit1", "rabbit3"]


def refusals(began: datetime) -> list[logs.Line]:
    return logs.search("'test_logs' failed to authenticate", since=began, level="warning", category="user")


@pytest.mark.cluster
def test_a_node_logs_readable_lines_to_a_terminal(capsys):
    assert cluster.logs("rabbit1", level="info") == 0
    assert '{"time"' not in capsys.readouterr().out
    assert cluster.logs(search="no line says this") == 1
    assert '{"time"' not in cluster.log_tail("rabbit2")
