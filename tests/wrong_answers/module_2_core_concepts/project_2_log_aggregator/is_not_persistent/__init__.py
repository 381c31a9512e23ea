"""Does not say that the lines are persistent.

Fails: test_each_line_goes_where_it_belongs
Says: A message came with delivery_mode
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
