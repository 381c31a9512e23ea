"""Acknowledges an invoice, and then prints it.

Fails: test_an_urgent_invoice_overtakes
Says: Printed, in this order: 1, 2, 5, 3, 4
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
