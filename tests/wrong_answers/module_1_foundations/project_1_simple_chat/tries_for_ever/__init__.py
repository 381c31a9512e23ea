"""Never gives up.

Fails: test_the_hub_gives_up_where_nobody_answers
Says: nobody listens at the port
"""

from . import hub, person

__all__ = ["hub", "person"]
