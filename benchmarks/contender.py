"""What every contender does alike: hear what is asked for, and tell how long it took."""

import json
import sys
import time
from dataclasses import dataclass

BODY = b"x" * 256
WINDOW = 2000  # messages without a confirm, where a contender has a window
PREFETCH = 100
PERSISTENT = 2


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes:
        host, port, user, password, vhost: Where to connect.
        queue: Declared already.
        seconds: For how long to publish; 0 where *number* says how many.
        number: How many messages to publish or to consume; 0 where *seconds* says for how long.
    """

    host: str
    port: int
    user: str
    password: str
    vhost: str
    queue: str
    seconds: float = 0.0
    number: int = 0

    @property
    def url(self) -> str:
        """Where to connect, as a URL."""
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/{self.vhost}"

    def wants_more(self, sent: int, began: float) -> bool:
        """Whether to publish on, after so many messages."""
        return sent < self.number if self.number else time.perf_counter() - began < self.seconds


def task() -> Task:
    """What this process was asked for."""
    return Task(**json.loads(sys.argv[1]))


def tell(messages: int, began: float) -> None:
    """So many messages are done, since *began* in seconds of ``time.perf_counter()``."""
    print(json.dumps({"messages": messages, "seconds": time.perf_counter() - began}), flush=True)
