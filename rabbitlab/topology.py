"""Draw what the broker holds now: exchanges, bindings, queues and their consumers, as a picture and as text.

Producers are not drawn: a broker does not know who will publish next.
"""

import threading
from contextlib import contextmanager
from dataclasses import dataclass

from rabbitlab import broker
from rabbitlab.errors import Mendable

DEFAULT_EXCHANGE = "(default exchange)"
UNNAMED = "(named by the broker)"
REDRAW = 0.3  # seconds between two pictures of live()


@dataclass(frozen=True)
class Queue:
    """A queue as it is drawn.

    Attributes:
        name: Its name, or :data:`UNNAMED` where the broker made one up.
        type: ``classic``, ``quorum`` or ``stream``, with ``exclusive`` where it is.
        counts: What it holds.
        nodes: ``leader rabbit1, members rabbit1 rabbit2 rabbit3``, or empty when not asked for.
    """

    name: str
    type: str
    counts: broker.Counts
    nodes: str = ""

    @property
    def holds(self) -> str:
        return f"{self.counts.ready} ready, {self.counts.unacked} unacked"

    @property
    def consumers(self) -> str:
        return {0: "", 1: "1 consumer"}.get(self.counts.consumers, f"{self.counts.consumers} consumers")


@dataclass(frozen=True)
class Binding:
    """An arrow: from the exchange *source* to *target*, which is a queue or another exchange."""

    source: str
    target: tuple[str, str]  # ("queue" or "exchange", its real name)
    label: str


@dataclass(frozen=True)
class Topology:
    """A picture: a mermaid diagram in a notebook and on the site, text anywhere else.

    Attributes:
        vhost: The virtual host.
        exchanges: Name and type of each exchange drawn; ``""`` is the default exchange.
        bindings: The arrows.
        queues: Real name to what is drawn.
    """

    vhost: str
    exchanges: dict[str, str]
    bindings: list[Binding]
    queues: dict[str, Queue]

    def __str__(self) -> str:
        return _text(self)

    __repr__ = __str__

    @property
    def mermaid(self) -> str:
        """The source of the diagram."""
        return _mermaid(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/vnd.mermaid": self.mermaid, "text/plain": str(self)}


def draw(*queues: str, vhost: str = "/", nodes: bool = False) -> Topology:
    """The topology of *vhost* as it is now; in a notebook, the last line of a cell shows it.

    Args:
        queues: Draw only these, and the exchanges, bindings and consumers that touch them; every queue and exchange when none is named.
        vhost: The virtual host.
        nodes: Also show which node leads a queue and which hold a copy.

    Raises:
        LookupError: a queue that is named, or the virtual host, does not exist.
    """
    return _look(queues, vhost, nodes=nodes, fresh=True)


@contextmanager
def live(*queues: str, vhost: str = "/"):
    """Redraw the picture while the body of the ``with`` moves messages; the last picture stays.

    In a notebook the picture changes in place, about three times a second. Elsewhere the last one is printed.

    Args:
        queues: As for :func:`draw`; they need not exist yet.
        vhost: The virtual host.
    """
    screen = _screen()
    over = threading.Event()

    def redraw() -> None:
        while not over.wait(REDRAW):
            try:
                screen.update(_look(_there(queues, vhost), vhost, nodes=False, fresh=False))
            except Exception:  # a picture missed while the broker is busy or gone is no reason to stop the body
                continue

    painter = threading.Thread(target=redraw, name="topology.live", daemon=True)
    if screen:
        screen.display(_look(_there(queues, vhost), vhost, nodes=False, fresh=False))
        painter.start()
    try:
        yield
    finally:
        over.set()
        if screen:
            painter.join()
        last = _look(_there(queues, vhost), vhost, nodes=False, fresh=True)
        screen.update(last) if screen else print(last)


def show(vhost: str = "/") -> None:
    """Print the topology of *vhost* in the terminal.

    Raises:
        Mendable: there is no such virtual host.
    """
    from rich.console import Console

    names = sorted(found["name"] for found in broker.api("vhosts?columns=name"))
    if vhost not in names:
        raise Mendable(f"There is no virtual host {vhost!r}. Try one of: ./lab topology {' | '.join(names)}")
    Console(highlight=False).print(str(draw(vhost=vhost)), markup=False)


def _screen():
    """A place in the notebook that can be drawn over; None where there is no notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import DisplayHandle
    except ImportError:
        return None
    return DisplayHandle() if get_ipython() else None


def _there(queues: tuple[str, ...], vhost: str) -> tuple[str, ...]:
    return tuple(name for name in queues if broker.exists(name, vhost=vhost))


def _look(wanted: tuple[str, ...], vhost: str, *, nodes: bool, fresh: bool) -> Topology:
    """Ask the broker for everything that a picture of the *wanted* queues shows."""
    known = {found["name"]: found for found in broker.api(broker.path("queues", vhost) + "?disable_stats=true")}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise broker.NoSuchQueue(
            f"There is no queue {missing[0]!r} in the virtual host {vhost!r}. Queues there: {', '.join(sorted(known)) or 'none'}."
        )
    counts = broker.counts(wanted or known, vhost=vhost, fresh=fresh)
    queues = {name: _queue(known[name], counts[name], nodes) for name in (dict.fromkeys(wanted) or known) if name in counts}
    types = {found["name"]: found["type"] for found in broker.api(broker.path("exchanges", vhost) + "?disable_stats=true")}
    every = [_binding(found) for found in broker.api(broker.path("bindings", vhost))]
    bindings = _reaching(every, set(queues))
    used = {binding.source for binding in bindings} | {
        name for binding in bindings for kind, name in [binding.target] if kind == "exchange"
    }
    if not wanted:
        used |= {name for name in types if name and not name.startswith("amq.")}
        bindings = [binding for binding in every if binding.source in used]
    if not wanted:
        queues = dict(sorted(queues.items(), key=lambda item: (item[1].name, item[1].type, str(item[1].counts))))
    exchanges = {name: types.get(name, "") for name in sorted(used)}
    places = {("queue", name): n for n, name in enumerate(queues)}
    bindings = [binding for binding in bindings if binding.target[0] == "exchange" or binding.target in places]
    bindings.sort(
        key=lambda binding: (
            binding.source,
            binding.target[0],
            places.get(binding.target, 0),
            binding.target[1] if binding.target not in places else "",
            binding.label,
        )
    )
    return Topology(vhost, exchanges, bindings, queues)


def _queue(found: dict, counts: broker.Counts, nodes: bool) -> Queue:
    name = UNNAMED if found["name"].startswith("amq.gen-") else found["name"]
    where = ""
    if nodes:
        members = sorted(member.partition("@")[2] for member in found.get("members") or [])
        leader = (found.get("leader") or found.get("node") or "no leader").rpartition("@")[2]
        where = f"leader {leader}, members {' '.join(members)}" if members else f"on {leader}"
    return Queue(name, f"{found['type']}{', exclusive' if found['exclusive'] else ''}", counts, where)


def _binding(found: dict) -> Binding:
    label = found["routing_key"]
    if found["destination"].startswith("amq.gen-") and not found["source"]:
        label = "its name"
    if found["arguments"]:
        label = ", ".join(f"{key}={value}" for key, value in sorted(found["arguments"].items()))
    return Binding(found["source"], (found["destination_type"], found["destination"]), label)


def _reaching(bindings: list[Binding], queues: set[str]) -> list[Binding]:
    """The bindings by which a message can get to *queues*, through other exchanges too."""
    targets = {("queue", name) for name in queues}
    while True:
        found = [binding for binding in bindings if binding.target in targets]
        more = targets | {("exchange", binding.source) for binding in found}
        if more == targets:
            return found
        targets = more


def _exchange_name(name: str) -> str:
    return name or DEFAULT_EXCHANGE


def _text(topology: Topology) -> str:
    """One line for each arrow, one for each queue."""
    lines = []
    for name, type in topology.exchanges.items():
        lines.append(f"{_exchange_name(name)}{f' ({type})' if name else ''}")
        for binding in topology.bindings:
            if binding.source == name:
                kind, target = binding.target
                shown = topology.queues[target].name if kind == "queue" else f"exchange {target}"
                lines.append(f"  --{binding.label}--> {shown}" if binding.label else f"  --> {shown}")
    for queue in topology.queues.values():
        details = [queue.type, queue.holds, queue.consumers or "no consumer", queue.nodes]
        lines.append(f"[{queue.name}] {', '.join(detail for detail in details if detail)}")
    return "\n".join(lines) or f"The virtual host {topology.vhost!r} holds no queue yet."


def _mermaid(topology: Topology) -> str:
    exchange_ids = {name: f"exchange{n}" for n, name in enumerate(topology.exchanges)}
    queue_ids = {name: f"queue{n}" for n, name in enumerate(topology.queues)}
    lines = ["flowchart LR"]
    for name, type in topology.exchanges.items():
        lines.append(f'  {exchange_ids[name]}{{{{"{_label(_exchange_name(name), type if name else "")}"}}}}:::exchange')
    for name, queue in topology.queues.items():
        lines.append(f'  {queue_ids[name]}[("{_label(queue.name, queue.type, queue.holds, queue.nodes)}")]:::queue')
    for binding in topology.bindings:
        target = (queue_ids if binding.target[0] == "queue" else exchange_ids)[binding.target[1]]
        arrow = f'-->|"{_label(binding.label)}"|' if binding.label else "-->"
        lines.append(f"  {exchange_ids[binding.source]} {arrow} {target}")
    for name, queue in topology.queues.items():
        if queue.consumers:
            lines.append(f'  {queue_ids[name]} --> {queue_ids[name]}c(["{queue.consumers}"]):::consumer')
    lines.append("  classDef exchange fill:#ffe8cc,stroke:#d9480f,color:#1a1a1a")
    lines.append("  classDef queue fill:#d0ebff,stroke:#1864ab,color:#1a1a1a")
    lines.append("  classDef consumer fill:#d3f9d8,stroke:#2b8a3e,color:#1a1a1a")
    return "\n".join(lines)


def _label(*lines: str) -> str:
    """Text that mermaid shows as it is: whatever is not a letter, a digit or a space becomes a numeric entity."""
    return "<br/>".join("".join(c if c.isalnum() or c == " " else f"#{ord(c)};" for c in line) for line in lines if line)
