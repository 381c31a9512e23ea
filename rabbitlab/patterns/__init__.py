"""Patterns for production: plain pika, one idea a file, to be read and to be copied into a service.

Each file can be taken alone, with those that it imports; ``prometheus-client`` is optional. Read them in this order:

``connecting``  how to reach a cluster, and which errors mean that the connection is gone
``retry``       waits that grow and differ
``breaker``     stop calling what is down
``pool``        connections lent to threads, one borrower at a time
``publisher``   confirms in a window, sent again after a lost connection: every message ends with a known outcome. Its parts: ``receipt``
                (what became of a message), ``window`` (the messages without an answer), ``sender`` (the thread with the connection),
                ``rounds`` (which node next), ``frames`` and ``wire`` (a message as bytes, and its way to the socket)
``consumer``    comes back by itself, tries again through waiting queues, parks what nobody can handle
``metrics``     what only the client knows, for Prometheus
"""

from .breaker import CircuitBreaker, CircuitOpen, is_connection_trouble
from .connecting import LOST, NotAsked, limited, login_refused, parameters
from .consumer import Health, ResilientConsumer
from .message import Message, Reject
from .metrics import Metrics
from .pool import ConnectionPool, PoolClosed, PoolTimeout
from .publisher import ReliablePublisher
from .receipt import Nacked, Outcome, PublisherClosed, PublishError, Receipt, Refused, Returned, Unknown
from .retries import Retries, declare_topology
from .retry import Backoff, retry

__all__ = [
    "LOST",
    "Backoff",
    "CircuitBreaker",
    "CircuitOpen",
    "ConnectionPool",
    "Health",
    "Message",
    "Metrics",
    "Nacked",
    "NotAsked",
    "Outcome",
    "PoolClosed",
    "PoolTimeout",
    "PublishError",
    "PublisherClosed",
    "Receipt",
    "Refused",
    "Reject",
    "ReliablePublisher",
    "ResilientConsumer",
    "Retries",
    "Returned",
    "Unknown",
    "declare_topology",
    "is_connection_trouble",
    "limited",
    "login_refused",
    "parameters",
    "retry",
]
