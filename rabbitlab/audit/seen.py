"""What was read of a cluster, and what could not be: a check that asks for the latter ends as "cannot be seen"."""

from collections.abc import Callable, Mapping
from typing import Any


class Unseen(Exception):
    """A check asked for what could not be read; says why."""


class Seen:
    """The answers of a cluster, by name.

    Args:
        parts: What was read: ``queues``, ``nodes``, ``config`` ...
        unread: What was not, and why.
        partly: What was read but may be incomplete, and what is missing.
    """

    def __init__(self, parts: Mapping[str, Any], unread: Mapping[str, str] | None = None, partly: Mapping[str, str] | None = None):
        self._parts = dict(parts)
        self.unread = dict(unread or {})
        self.partly = dict(partly or {})
        self._asked: list[str] = []
        self._missed: list[str] = []
        self._made: dict[str, tuple[Any, list[str], list[str]]] = {}  # shared with all views

    def __getitem__(self, name: str) -> Any:
        """A part.

        Raises:
            Unseen: it could not be read.
        """
        if name in self.unread:
            raise Unseen(self.unread[name])
        self._asked.append(name)
        return self._parts[name]

    def get(self, name: str, otherwise: Any = None) -> Any:
        """A part, or *otherwise* where it could not be read."""
        try:
            return self[name]
        except Unseen:
            return otherwise

    def once(self, name: str, make: Callable[["Seen"], Any]) -> Any:
        """What *make* works out of this, made once for all views. Who asks for it asks for the parts that it was made of."""
        if name not in self._made:
            view = self.view()
            self._made[name] = make(view), list(dict.fromkeys(view._asked)), view._missed
        made, asked, missed = self._made[name]
        for part in asked:
            self[part]
        self._missed += missed
        return made

    def miss(self, what: str) -> None:
        """Say what a check had to leave out of its judgement."""
        self._missed.append(what)

    def __contains__(self, name: str) -> bool:
        """Whether the part was read."""
        return name not in self.unread and name in self._parts

    @property
    def gaps(self) -> list[str]:
        """What is missing from the parts that this view was asked for, and what was left out, each said once."""
        return list(dict.fromkeys([*(self.partly[name] for name in self._asked if name in self.partly), *self._missed]))

    def view(self) -> "Seen":
        """The same, which nobody has asked for anything yet."""
        view = Seen(self._parts, self.unread, self.partly)
        view._made = self._made
        return view
