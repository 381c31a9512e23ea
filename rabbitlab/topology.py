"""Draw what the broker holds now: exchanges, bindings, queues and their consumers, as a picture and as text.

Producers are not drawn: a broker does not know who will publish next.
"""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rabbitlab import broker
from rabbitlab.errors import Mendable

DEFAULT_EXCHANGE = "(default exchange)"
UNNAMED = "(named by the broker)"
REDRAW = 0.3  # seconds between two pictures of live()

# Tints of whatever is behind, and the theme's own text on them: Material, JupyterLab and GitHub each set the text's colour,
# light on dark or dark on light, and Material does so against any colour given here.
STYLES = {
    "exchange": "fill:#f0883e33,stroke:#e8590c",
    "queue": "fill:#339af033,stroke:#1c7ed6",
    "consumer": "fill:#51cf6633,stroke:#2f9e44",
}


@dataclass(frozen=True)
class Queue:
    """A queue as it is drawn.

    Attributes:
        name: Its name, or :data:`UNNAMED` where the broker made one up.
        kind: ``classic queue``, ``exclusive classic queue``, ``quorum queue``, ``stream``.
        counts: What it holds.
        nodes: ``leader rabbit1, members rabbit1 rabbit2 rabbit3``, or empty when not asked for.
    """

    name: str
    kind: str
    counts: broker.Counts
    nodes: str = ""

    @property
    def holds(self) -> str:
        ready = f"{self.counts.ready} ready"
        return f"{ready}, {self.counts.unacked} unacknowledged" if self.counts.unacked else ready

    @property
    def consumers(self) -> str:
        """``1 consumer``, or empty for none."""
        number = self.counts.consumers
        return f"{number} consumer{'s' if number > 1 else ''}" if number else ""


@dataclass(frozen=True, order=True)
class Binding:
    """An arrow from the exchange *source* to *target*: ``("queue", name)`` or ``("exchange", name)``."""

    source: str
    target: tuple[str, str]
    label: str


@dataclass(frozen=True)
class Topology:
    """A picture: a mermaid diagram in a notebook and on the site, text anywhere else.

    Attributes:
        vhost: The virtual host.
        exchanges: Name and type of each exchange drawn; ``""`` is the default exchange.
        bindings: The arrows.
        queues: Real name of each queue, and how it is drawn.
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
    """The topology of *vhost* as it is now; as the last line of a notebook's cell it is shown as a picture.

    Args:
        queues: Draw only these, and the exchanges, bindings and consumers that touch them; every queue and exchange when none is named.
        vhost: The virtual host.
        nodes: Also show which node leads a queue, and which hold a copy.

    Raises:
        LookupError: a queue that is named, or the virtual host, does not exist.
        Mendable: no node answers.
    """
    there = set(broker.queues(vhost=vhost))
    for name in queues:
        if name not in there:
            raise broker.no_such_queue(name, vhost)
    return _look(queues, vhost, nodes=nodes)


@contextmanager
def live(*queues: str, vhost: str = "/") -> Iterator[None]:
    """Redraw the picture while the body of the ``with`` moves messages; the last picture stays.

    In a notebook the picture changes in place, about three times a second. Elsewhere only the last one is printed.

    Args:
        queues: As for :func:`draw`; they need not exist yet.
        vhost: The virtual host.
    """
    screen = _screen()
    over = threading.Event()

    def redraw() -> None:
        while not over.wait(REDRAW):
            with suppress(Exception):  # a picture missed while the broker is busy or gone is no reason to stop the body
                screen.update(_look(queues, vhost, fresh=False))

    # A thread has no context of its own: given this one, its pictures go to the cell that started it.
    painter = threading.Thread(target=contextvars.copy_context().run, args=[redraw], name="topology.live", daemon=True)
    if screen:
        screen.display(_look(queues, vhost, fresh=False))
        painter.start()
    try:
        yield
    except BaseException:
        with suppress(Exception):
            _end(over, painter, screen, queues, vhost)
        raise
    _end(over, painter, screen, queues, vhost)


def show(vhost: str = "/") -> None:
    """Print the topology of *vhost* in the terminal.

    Raises:
        Mendable: there is no such virtual host, or no node answers.
    """
    from rich.console import Console

    names = broker.vhosts()
    if vhost not in names:
        raise Mendable(f"There is no virtual host {vhost!r}. Try one of: {', '.join(f'./lab topology {name}' for name in names)}")
    topology = draw(vhost=vhost)
    console = Console(highlight=False)
    if topology.queues or topology.exchanges:
        console.print(_tree(topology), _table(topology), sep="\n")
    else:
        console.print(f"{topology} Run a lesson's notebook, and look again.", markup=False, soft_wrap=True)


def _end(over: threading.Event, painter: threading.Thread, screen, queues: tuple[str, ...], vhost: str) -> None:
    """Stop the painter and leave the last picture, whose counts have come to rest."""
    over.set()
    if painter.is_alive():
        painter.join()
    last = _look(queues, vhost)
    if screen:
        screen.update(last)
    else:
        print(last)


def _screen():
    """A place in the notebook that can be drawn over; None where there is no notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import DisplayHandle
    except ImportError:
        return None
    return DisplayHandle() if hasattr(get_ipython(), "kernel") else None


def _look(wanted: tuple[str, ...], vhost: str, *, nodes: bool = False, fresh: bool = True) -> Topology:
    """Ask the broker for everything that a picture of the *wanted* queues shows; of all when none is wanted."""
    known = {found["name"]: found for found in broker.listed("queues", vhost=vhost)}
    types = {found["name"]: found["type"] for found in broker.listed("exchanges", vhost=vhost)}
    bindings = [_binding(found) for found in broker.listed("bindings", vhost=vhost)]
    counts = broker.counts([name for name in dict.fromkeys(wanted or known) if name in known], vhost=vhost, fresh=fresh)
    queues = {name: _queue(known[name], counts[name], _on(known[name]) if nodes else "") for name in counts}
    if wanted:
        bindings = _leading_to(bindings, queues)
        exchanges = set()
    else:
        exchanges = {name for name in types if name and not name.startswith("amq.")}
        queues = dict(sorted(queues.items(), key=lambda item: _order(*item, bindings)))
    exchanges |= {binding.source for binding in bindings}
    return Topology(vhost, {name: types.get(name, "") for name in sorted(exchanges)}, _sorted(bindings, list(queues)), queues)


def _queue(found: dict, counts: broker.Counts, nodes: str) -> Queue:
    name = UNNAMED if found["name"].startswith("amq.gen-") else found["name"]
    kind = "stream" if found["type"] == "stream" else f"{found['type']} queue"
    return Queue(name, f"exclusive {kind}" if found["exclusive"] else kind, counts, nodes)


def _on(found: dict) -> str:
    """The nodes of a queue, in words."""
    leader, members = (ask(found["name"], vhost=found["vhost"]) for ask in (broker.leader, broker.members))
    return f"on {leader}" if found["type"] == "classic" else f"leader {leader or 'none'}, members {' '.join(members)}"


def _binding(found: dict) -> Binding:
    label = found["routing_key"]
    if label.startswith("amq.gen-"):
        label = "its name"
    elif any(not key.startswith("x-") or key == "x-match" for key in found["arguments"]):
        label = ", ".join(f"{key}={value}" for key, value in sorted(found["arguments"].items()))
    return Binding(found["source"], (found["destination_type"], found["destination"]), label)


def _leading_to(bindings: list[Binding], queues: dict[str, Queue]) -> list[Binding]:
    """The bindings by which a message can get to *queues*, through other exchanges too."""
    targets = {("queue", name) for name in queues}
    while True:
        found = [binding for binding in bindings if binding.target in targets]
        more = targets | {("exchange", binding.source) for binding in found}
        if more == targets:
            return found
        targets = more


def _order(name: str, queue: Queue, bindings: list[Binding]) -> tuple:
    """By name; names that the broker made up differ on each run, so these by what is seen of them."""
    arrows = sorted((binding.source, binding.label) for binding in bindings if binding.target == ("queue", name))
    return (queue.name, queue.kind, queue.counts.ready, queue.counts.unacked, queue.counts.consumers, arrows)


def _sorted(bindings: list[Binding], queues: list[str]) -> list[Binding]:
    """The arrows to exchanges and to *queues*, in the order in which these are drawn."""
    drawn = [binding for binding in bindings if binding.target[0] == "exchange" or binding.target[1] in queues]

    def place(binding: Binding) -> tuple:
        kind, name = binding.target
        return (binding.source, kind, queues.index(name) if kind == "queue" else name, binding.label)

    return sorted(drawn, key=place)


def _exchange_name(name: str) -> str:
    return name or DEFAULT_EXCHANGE


def _target_name(topology: Topology, binding: Binding) -> str:
    kind, name = binding.target
    return topology.queues[name].name if kind == "queue" else f"exchange {name}"


def _text(topology: Topology) -> str:
    """Each exchange with its arrows, then a line for each queue."""
    lines = []
    for name, type in topology.exchanges.items():
        lines.append(f"{name} ({type} exchange)" if name else DEFAULT_EXCHANGE)
        for binding in topology.bindings:
            if binding.source == name:
                lines.append(f"  --{binding.label}--> {_target_name(topology, binding)}".replace("----> ", "--> "))
    for queue in topology.queues.values():
        details = [queue.kind, queue.holds, queue.consumers or "no consumer", queue.nodes]
        lines.append(f"[{queue.name}] {', '.join(detail for detail in details if detail)}")
    return "\n".join(lines) or _nothing(topology)


def _nothing(topology: Topology) -> str:
    return f"The virtual host {topology.vhost} holds no queue yet."


def _tree(topology: Topology):
    """The exchanges and their arrows, for the terminal."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text.assemble("virtual host ", (topology.vhost, "bold")))
    for name, type in topology.exchanges.items():
        branch = tree.add(Text.assemble((_exchange_name(name), "bold yellow"), f"  {type} exchange" if name else ""))
        for binding in topology.bindings:
            if binding.source == name:
                branch.add(Text.assemble((f"{binding.label} ", "italic"), "→ ", (_target_name(topology, binding), "bold cyan")))
    return tree


def _table(topology: Topology):
    """The queues and what they hold, for the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("queue", style="bold cyan")
    table.add_column("type")
    for column in ("ready", "unacknowledged", "consumers"):
        table.add_column(column, justify="right")
    for queue in topology.queues.values():
        counts = queue.counts
        table.add_row(Text(queue.name), queue.kind, str(counts.ready), str(counts.unacked), str(counts.consumers))
    return table


def _mermaid(topology: Topology) -> str:
    ids = {("exchange", name): f"exchange{n}" for n, name in enumerate(topology.exchanges)}
    ids |= {("queue", name): f"queue{n}" for n, name in enumerate(topology.queues)}
    lines = ["flowchart LR"]
    for name, type in topology.exchanges.items():
        label = _label(_exchange_name(name), f"{type} exchange" if name else "")
        lines.append(f'  {ids["exchange", name]}{{{{"{label}"}}}}:::exchange')
    for name, queue in topology.queues.items():
        label = _label(queue.name, queue.kind, *queue.holds.split(", "), *queue.nodes.split(", "))
        lines.append(f'  {ids["queue", name]}["{label}"]:::queue')
        lines.append(f"  {ids['queue', name]}@{{ shape: das }}")  # a label given here would be read as Markdown
    for binding in topology.bindings:
        arrow = f'-->|"{_label(binding.label)}"|' if binding.label else "-->"
        lines.append(f"  {ids['exchange', binding.source]} {arrow} {ids[binding.target]}")
    for n, queue in enumerate(topology.queues.values()):
        if queue.consumers:
            lines.append(f'  queue{n} --> consumers{n}(["{queue.consumers}"]):::consumer')
    if not ids:
        lines.append(f'  nothing["{_label(_nothing(topology))}"]')
    lines += [f"  classDef {name} {style}" for name, style in STYLES.items()]
    return "\n".join(lines)


def _label(*lines: str) -> str:
    """Text that mermaid shows as it is: what could mean something to it, or to HTML, becomes a numeric entity."""
    return "<br/>".join("".join(c if c.isalnum() or c in " ,()" else f"#{ord(c)};" for c in line) for line in lines if line)
