"""Which series of RabbitMQ get patches: a table, since no cluster knows it of itself."""

import re
from datetime import date

from rabbitlab.audit.seen import Seen

# The project mends the newest series, and no other (COMMUNITY_SUPPORT.md of rabbitmq-server); older ones are a matter of contracts.
NEWEST = (4, 3)
AS_OF = date(2026, 11, 25)
GOOD_UNTIL = date(2027, 8, 1)  # a new series comes about every half year
PAGE = "https://www.rabbitmq.com/release-information"


def version(text: str) -> tuple[int, ...]:
    """``4.3.6`` as (4, 3, 6); what follows, as in ``4.3.0-rc.1``, is left out."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def since(seen: Seen, *series: int) -> bool:
    """Whether the cluster is of this series or a later one."""
    return version(seen["overview"]["rabbitmq_version"]) >= series
