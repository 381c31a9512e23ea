"""The members of a quorum queue, which may end while their nodes run."""

from rabbitlab import containers
from rabbitlab.healing import menders


def end_member(node: str, vhost: str, queue: str, how: str = "stop_server") -> None:
    """Have the member on *node* end; *how* is a function of ``ra``, as ``force_delete_server``, after which it cannot start again."""
    containers.run(node, *menders.EVAL, f"ra:{how}(quorum_queues, {{'{vhost}_{queue}', 'rabbit@{node}'}}).")
