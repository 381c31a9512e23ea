"""Orders invoices that are not persistent.

Fails: test_the_desk_says_how_urgent_it_is
Says: has the delivery_mode
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
