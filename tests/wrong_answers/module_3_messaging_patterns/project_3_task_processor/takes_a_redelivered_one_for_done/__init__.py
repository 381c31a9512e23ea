"""Takes an invoice that comes for the second time for one that is done.

Fails: test_each_invoice_has_one_end_although_programs_are_killed
Says: have no line in the book
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
