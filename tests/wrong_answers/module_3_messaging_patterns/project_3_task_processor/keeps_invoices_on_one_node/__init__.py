"""Declares classic queues, with priorities.

Fails: test_the_desk_says_how_urgent_it_is
Says: lists `invoices` as classic
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
