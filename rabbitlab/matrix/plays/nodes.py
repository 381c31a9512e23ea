"""Nodes that die, fall silent or are cut off, and alarms: the cluster is broken for everybody."""

from collections.abc import Iterator

from rabbitlab import faults, wholeness
from rabbitlab.ledger import CONFIRMED, DONE
from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import SETTLED, Scene
from rabbitlab.nodes import NODES

ALARM = 60  # seconds
GROWTH = 30  # megabytes that a program may grow meanwhile
LATE_MEMORY = 5  # seconds into an alarm from which memory is compared: by then the window is full


def _around(scene: Scene, fault, last: float) -> None:
    """The fault for so many seconds, amid the flow, and flow after it."""
    scene.start()
    with scene.fault(fault(scene)) as mark:
        scene.elapse(last, since=mark.began)
    scene.flow(since=mark.ended + SETTLED)


@row("kill-leader", "leader killed", limit=10, alone=True)
def kill_leader(scene: Scene) -> Iterator[None]:
    """Kill -9 the node that leads the queue, and start it again."""
    _around(scene, lambda scene: faults.killed(scene.leader()), last=3)
    yield


@row("pause-15", "node paused 15 s", limit=15, alone=True)
def pause_15(scene: Scene) -> Iterator[None]:
    """A node that says nothing for 15 s; its port still takes connections."""
    _around(scene, lambda scene: faults.paused(scene.victim()), last=15)
    yield


@row("pause-60", "node paused 60 s", limit=15, alone=True)
def pause_60(scene: Scene) -> Iterator[None]:
    """The same for as long as the others take to see it gone."""
    _around(scene, lambda scene: faults.paused(scene.victim()), last=60)
    yield


@row("cut-off", "node cut off 20 s", limit=15, alone=True)
def cut_off(scene: Scene) -> Iterator[None]:
    """A node whose network cable is pulled."""
    _around(scene, lambda scene: faults.cut_off(scene.victim()), last=20)
    yield


@row("partition", "partition 2/1, 20 s", limit=15, alone=True)
def partition(scene: Scene) -> Iterator[None]:
    """The cluster in two; clients reach both sides, and the minority must confirm nothing."""
    scene.start()
    minority = scene.victim()
    with scene.fault(faults.partitioned(minority)) as mark:
        with scene.probe(minority) as confirmed:
            scene.elapse(20, since=mark.began)
        scene.check(not confirmed, f"{minority}, alone in its part, confirmed a message")
    scene.flow(since=mark.ended + SETTLED)
    yield


def _alarm(scene: Scene, alarm) -> None:
    """Publishers are blocked on every node; consumers go on; nobody grows."""
    scene.start()
    node = scene.random.choice(NODES).name
    with scene.fault(alarm(node), well=lambda: not any(map(wholeness.raised_alarms, NODES))) as mark:
        scene.elapse(LATE_MEMORY, since=mark.began)
        scene.wait(lambda: not scene.watch.look().not_arrived(), 30, "what was confirmed before the alarm is handled")
        before, confirmed = scene.megabytes(), scene.watch.number(CONFIRMED)
        scene.elapse(ALARM, since=mark.began)
        grown = scene.megabytes() - before
        scene.notes.append(f"grew {grown:.0f} MB")
        scene.check(grown <= GROWTH, f"the programs grew by {grown:.0f} MB during the alarm, {GROWTH} at most")
        scene.check(scene.watch.look().number(CONFIRMED) == confirmed, "messages were confirmed during an alarm: it was none")
    scene.flow(since=mark.ended + SETTLED)


@row("memory-alarm", "memory alarm 60 s", limit=5, after="well", alone=True)
def memory_alarm(scene: Scene) -> Iterator[None]:
    """A node has too little memory."""
    _alarm(scene, faults.memory_alarm)
    yield


@row("disk-alarm", "disk alarm 60 s", limit=5, after="well", alone=True)
def disk_alarm(scene: Scene) -> Iterator[None]:
    """A node has too little disk."""
    _alarm(scene, faults.disk_alarm)
    yield


@row("cluster-down", "whole cluster down 30 s", limit=15, after="ended", alone=True)
def cluster_down(scene: Scene) -> Iterator[None]:
    """All three nodes killed, and started again after 30 s: what was confirmed is still there."""
    scene.start()
    with scene.fault(faults.killed(*(node.name for node in NODES))) as mark:
        scene.elapse(2, since=mark.began)
        handled = scene.watch.look().number(DONE)
        scene.elapse(30, since=mark.began)
        scene.check(scene.watch.look().number(DONE) <= handled + 4, "messages were handled while no node ran")
    scene.flow(since=mark.ended + SETTLED)
    yield
