"""The picture shows what the broker holds, the same on every run."""

import io
import threading
from contextlib import redirect_stdout

import nbformat
import pytest
from nbclient import NotebookClient

from rabbitlab import broker, topology
from rabbitlab.broker import Counts
from rabbitlab.errors import Mendable
from rabbitlab.topology import Binding, Queue, Topology

pytest_plugins = ["tests.rooms"]

ORDERS = Topology(
    "/",
    {"": "direct", "events": "topic"},
    [Binding("", ("queue", "orders"), "orders"), Binding("events", ("queue", "orders"), "order.*")],
    {"orders": Queue("orders", "classic queue", Counts(2, 1, 1))},
)


def shop(room):
    """Exchanges and queues of all kinds; returns the channel that consumes."""
    channel = room.channel()
    channel.exchange_declare(exchange="events", exchange_type="topic", durable=True)
    channel.exchange_declare(exchange="desks", exchange_type="fanout", durable=True)
    channel.exchange_declare(exchange="by_attribute", exchange_type="headers", durable=True)
    channel.exchange_bind(destination="desks", source="events", routing_key="#")
    room.fill(channel, "orders", 3)
    room.fill(channel, "parcels", 1)
    channel.queue_bind(queue="orders", exchange="events", routing_key="order.*")
    channel.queue_bind(queue="parcels", exchange="desks", routing_key="")
    channel.queue_bind(queue="parcels", exchange="by_attribute", routing_key="", arguments={"x-match": "all", "format": "pdf"})
    channel.basic_get(queue="orders")
    return channel


def test_the_text_names_each_arrow_and_what_each_queue_holds():
    assert str(ORDERS).splitlines() == [
        "(default exchange)",
        "  --orders--> orders",
        "events (topic exchange)",
        "  --order.*--> orders",
        "[orders] classic queue, 2 ready, 1 unacknowledged, 1 consumer",
    ]


def test_the_diagram_says_the_same():
    assert ORDERS.mermaid.splitlines()[:9] == [
        "flowchart LR",
        '  exchange0{{"(default exchange)"}}:::exchange',
        '  exchange1{{"events<br/>topic exchange"}}:::exchange',
        '  queue0["orders<br/>classic queue<br/>2 ready<br/>1 unacknowledged"]:::queue',
        "  queue0@{ shape: das }",
        '  exchange0 -->|"orders"| queue0',
        '  exchange1 -->|"order#46;#42;"| queue0',
        '  queue0 --> consumers0(["1 consumer"]):::consumer',
        "  classDef exchange fill:#f0883e33,stroke:#e8590c",
    ]


def test_a_notebook_gets_both():
    assert ORDERS._repr_mimebundle_() == {"text/vnd.mermaid": ORDERS.mermaid, "text/plain": str(ORDERS)}
    assert repr(ORDERS) == str(ORDERS)


@pytest.mark.parametrize(("number", "said"), [(0, "no consumer"), (1, "1 consumer"), (2, "2 consumers")])
def test_consumers_are_counted_in_words(number, said):
    drawn = Topology("/", {}, [], {"orders": Queue("orders", "classic queue", Counts(0, 0, number))})
    assert str(drawn) == f"[orders] classic queue, 0 ready, {said}"
    assert (said in drawn.mermaid) is bool(number)


def test_nothing_in_a_name_means_anything_to_mermaid_or_html():
    name = '"]:::x; --> <b>#1 & `y` _a_ **b** é日\\'
    drawn = Topology("/", {"": "direct"}, [Binding("", ("queue", name), name)], {name: Queue(name, "classic queue", Counts(0, 0, 0))})
    escaped = "".join(c if c.isalnum() or c == " " else f"#{ord(c)};" for c in name)
    assert f'queue0["{escaped}<br/>classic queue<br/>0 ready"]' in drawn.mermaid
    assert f'-->|"{escaped}"|' in drawn.mermaid
    assert name in str(drawn)


def test_an_empty_vhost_is_a_sentence():
    empty = Topology("shop", {}, [], {})
    assert str(empty) == "The virtual host shop holds no queue yet."
    assert '["The virtual host shop holds no queue yet#46;"]' in empty.mermaid


@pytest.mark.cluster
def test_everything_in_a_vhost_is_drawn(room):
    shop(room)
    assert str(topology.draw(vhost=room.vhost)).splitlines() == [
        "(default exchange)",
        "  --orders--> orders",
        "  --parcels--> parcels",
        "by_attribute (headers exchange)",
        "  --format=pdf, x-match=all--> parcels",
        "desks (fanout exchange)",
        "  --> parcels",
        "events (topic exchange)",
        "  --#--> exchange desks",
        "  --order.*--> orders",
        "[orders] classic queue, 2 ready, 1 unacknowledged, no consumer",
        "[parcels] classic queue, 1 ready, no consumer",
    ]


@pytest.mark.cluster
def test_named_queues_are_drawn_with_all_that_leads_to_them_and_nothing_else(room):
    channel = shop(room)
    channel.basic_consume(queue="parcels", on_message_callback=print, auto_ack=False)
    assert str(topology.draw("parcels", vhost=room.vhost)).splitlines() == [
        "(default exchange)",
        "  --parcels--> parcels",
        "by_attribute (headers exchange)",
        "  --format=pdf, x-match=all--> parcels",
        "desks (fanout exchange)",
        "  --> parcels",
        "events (topic exchange)",
        "  --#--> exchange desks",
        "[parcels] classic queue, 0 ready, 1 unacknowledged, 1 consumer",
    ]


@pytest.mark.cluster
def test_queues_are_drawn_in_the_order_in_which_they_are_named(room):
    shop(room)
    drawn = topology.draw("parcels", "orders", vhost=room.vhost)
    assert list(drawn.queues) == ["parcels", "orders"]
    assert [binding.target[1] for binding in drawn.bindings if not binding.source] == ["parcels", "orders"]


@pytest.mark.cluster
def test_a_name_made_up_by_the_broker_is_not_shown(room):
    channel = room.channel()
    channel.exchange_declare(exchange="desks", exchange_type="fanout", durable=True)
    name = channel.queue_declare(queue="", exclusive=True).method.queue
    channel.queue_bind(queue=name, exchange="desks", routing_key="")
    drawn = topology.draw(vhost=room.vhost)
    assert name not in str(drawn) + drawn.mermaid
    assert str(drawn).splitlines() == [
        "(default exchange)",
        "  --its name--> (named by the broker)",
        "desks (fanout exchange)",
        "  --> (named by the broker)",
        "[(named by the broker)] exclusive classic queue, 0 ready, no consumer",
    ]


@pytest.mark.cluster
def test_nodes_are_shown_when_asked_for(room, monkeypatch):
    monkeypatch.setattr(broker, "_next_report", lambda names, vhost: {})
    room.fill(room.channel(), "orders", 0)
    assert str(topology.draw("orders", vhost=room.vhost, nodes=True)).endswith("no consumer, on rabbit1")
    room.fill(room.channel(), "parcels", 0, "quorum")
    leader = broker.leader("parcels", vhost=room.vhost)
    drawn = str(topology.draw("parcels", vhost=room.vhost, nodes=True))
    assert drawn.endswith(f"quorum queue, 0 ready, no consumer, leader {leader}, members rabbit1 rabbit2 rabbit3")


@pytest.mark.cluster
def test_what_is_not_there_is_named(room):
    with pytest.raises(LookupError, match="no queue 'ordres'"):
        topology.draw("ordres", vhost=room.vhost)
    with pytest.raises(LookupError, match="no virtual host 'nowhere'"):
        topology.draw(vhost="nowhere")


@pytest.mark.cluster
def test_live_without_a_notebook_prints_the_last_picture(room, capsys):
    channel = room.channel()
    with topology.live("orders", vhost=room.vhost):
        room.fill(channel, "orders", 2)
    assert capsys.readouterr().out.endswith("[orders] classic queue, 2 ready, no consumer\n")


@pytest.mark.cluster
def test_live_lets_an_error_of_the_body_through(room):
    with pytest.raises(ZeroDivisionError), topology.live(vhost=room.vhost):
        _ = 1 / 0
    assert "topology.live" not in {thread.name for thread in threading.enumerate()}


class Recorder(NotebookClient):
    """Counts the pictures that a notebook showed."""

    pictures = 0

    def process_message(self, msg, cell, cell_index):
        self.pictures += msg["msg_type"] in ("display_data", "update_display_data")
        return super().process_message(msg, cell, cell_index)


@pytest.mark.cluster
def test_live_in_a_notebook_redraws_one_picture_and_records_the_last(room):
    room.fill(room.channel(), "orders", 3)
    cells = [
        f"""import pika, threading
from rabbitlab import topology
parameters = pika.ConnectionParameters("localhost", virtual_host={room.vhost!r},
                                       credentials=pika.PlainCredentials({room.vhost!r}, {room.password!r}))""",
        f"""with pika.BlockingConnection(parameters) as connection, topology.live("orders", vhost={room.vhost!r}):
    channel = connection.channel()
    for _ in range(2):
        method, properties, body = channel.basic_get(queue="orders")
        connection.sleep(0.5)
        channel.basic_ack(delivery_tag=method.delivery_tag)
print([thread.name for thread in threading.enumerate() if "live" in thread.name])""",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = Recorder(notebook, kernel_name="python3", timeout=60)
    client.execute()
    picture, printed = notebook.cells[1].outputs
    assert picture["data"]["text/plain"].endswith("[orders] classic queue, 1 ready, no consumer")
    assert picture["data"]["text/vnd.mermaid"] == topology.draw("orders", vhost=room.vhost).mermaid
    assert client.pictures > 2
    assert printed["text"] == "[]\n"


@pytest.mark.cluster
def test_the_terminal_shows_arrows_and_a_table(room):
    shop(room)
    shown = io.StringIO()
    with redirect_stdout(shown):
        topology.show(room.vhost)
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert lines[0] == f"virtual host {room.vhost}"
    assert "│   └── order.* → orders" in lines[-12:] or "    └── order.* → orders" in lines
    assert ["orders", "classic", "queue", "2", "1", "0"] in [line.split() for line in lines]


@pytest.mark.cluster
def test_the_terminal_says_what_to_do_in_an_empty_or_unknown_vhost(room, capsys):
    topology.show(room.vhost)
    assert capsys.readouterr().out == f"The virtual host {room.vhost} holds no queue yet. Run a lesson's notebook, and look again.\n"
    with pytest.raises(Mendable, match=r"no virtual host 'nowhere'\. Try one of: \./lab topology /"):
        topology.show("nowhere")
