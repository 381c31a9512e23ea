"""Acknowledges an invoice that has jammed, and then puts the copy.

Fails: test_no_invoice_leaves_before_what_follows_is_confirmed
Says: An invoice jammed at its first attempt
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
