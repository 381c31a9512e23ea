"""Prints each invoice that comes, whatever it has printed.

Fails: test_an_invoice_that_was_ordered_twice_is_printed_once
Says: Tried, in this order: 1, 2, 1, 3, 3
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
