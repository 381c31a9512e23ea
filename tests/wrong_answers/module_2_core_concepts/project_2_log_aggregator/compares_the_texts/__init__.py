"""Takes two lines with the same text for one.

Fails: test_a_copy_is_told_once
Says: Somebody was told once
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
