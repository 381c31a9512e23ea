"""Takes as many invoices as there are.

Fails: test_an_urgent_invoice_overtakes
Says: Printed, in this order: 1, 2, 3, 4, 5
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
