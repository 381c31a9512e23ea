"""Publishes without mandatory.

Fails: test_a_queue_that_is_not_there_is_noticed
Says: no queue `invoices.failed`
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
