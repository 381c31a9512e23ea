"""What was read of a cluster, and what could not be: a check that asks for the latter ends as "cannot be seen"."""

from collections.abc import Mapping
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

    def __contains__(self, name: str) -> bool:
        """Whether the part was read."""
        return name not in self.unread and name in self._parts

    @property
    def gaps(self) -> list[str]:
        """What is missing from the parts that this view was asked for, each said once."""
        return list(dict.fromkeys(self.partly[name] for name in self._asked if name in self.partly))

    def view(self) -> "Seen":
        """The same, which nobody has asked for anything yet."""
        return Seen(self._parts, self.unread, self.partly)
