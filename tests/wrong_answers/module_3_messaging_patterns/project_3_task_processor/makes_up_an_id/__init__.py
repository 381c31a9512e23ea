"""Makes up an id for each message.

Fails: test_the_desk_says_how_urgent_it_is
Says: has the message_id '
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
