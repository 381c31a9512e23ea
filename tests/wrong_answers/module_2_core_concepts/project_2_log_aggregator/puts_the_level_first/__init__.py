"""Makes the key of level and source, the other way round than the bindings.

Fails: test_each_line_goes_where_it_belongs
Says: logs.alerts got nothing
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
