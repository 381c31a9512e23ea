"""A user that is gone."""

from collections.abc import Iterator
from contextlib import contextmanager

from rabbitlab import broker, users, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.faults.fault import Fault, made
from rabbitlab.nodes import ADMIN, NODES


@contextmanager
def deleted_user(name: str = "guest") -> Iterator[Fault]:
    """Delete a user, as lesson 4.5 asks for with guest; inside, nobody logs in by that name, and who had was disconnected.

    Afterwards the user is back with the same password, tags, limits, and permissions in every virtual host.

    Args:
        name: Of the user. The lab's own administrator stays: the course's tools look as this user.

    Raises:
        Mendable: there is no such user, or it is the administrator.
    """
    if name == ADMIN[0]:
        raise Mendable(f"{name} is the user as which the course's own tools ask the broker. Take another one: guest")
    there = sorted(user["name"] for user in broker.api("users?columns=name"))
    if name not in there:
        raise Mendable(f"There is no user {name!r}. Users are: {', '.join(there)}. If guest is missing: ./lab heal")

    def delete() -> None:
        users.remember(name)
        broker.api(broker.path("users", name), "DELETE")

    def seen() -> str:
        return next((f"{node.name} still knows {name}" for node in NODES if _knows(node, name)), "")

    with made(f"user {name} deleted", (), delete, lambda: users.restore(name), seen) as fault:
        yield fault


def _knows(node, name: str) -> bool:
    try:
        return name in {user["name"] for user in wholeness.users_of(node)}
    except (OSError, ValueError):
        return False  # a node that another fault has taken away knows nobody
