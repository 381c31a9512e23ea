"""Orders without mandatory.

Fails: test_a_queue_that_is_not_there_is_noticed
Says: A desk ordered an invoice, and there was no queue
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
