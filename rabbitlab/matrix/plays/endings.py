"""Programs that are asked to end."""

from collections.abc import Iterator

from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import SETTLED, Missed, Scene

GRACE = 10.0  # seconds that docker stop leaves a program


@row("sigterm", "SIGTERM", consumer={"work": 0.05}, publisher={"rate": 60})
def sigterm(scene: Scene) -> Iterator[None]:
    """Both are asked to end amid the flow, as by ``docker stop``, and others take their place; nothing is lost, nothing left half done."""
    scene.start()
    began = scene.terminate("consumer", GRACE)
    scene.start_consumer()
    scene.flow(since=began + SETTLED, what="the second consumer handles messages")
    ended = scene.terminate("publisher", GRACE)
    if left := scene.watch.look().open():
        raise Missed(f"{len(left)} messages of the publisher that was ended are neither confirmed, failed nor unknown")
    scene.start_publisher()
    scene.flow(since=ended + SETTLED, what="messages of the second publisher are handled")
    yield
    twice = scene.verdict().duplicated
    scene.notes.append(f"{len(twice)} handled twice")
    scene.check(not twice, f"{len(twice)} messages were handled twice: the consumer that ended had not finished what it had begun")
