"""Lets RabbitMQ take each result for entered when it is sent.

Fails: test_the_book_has_one_line_an_id
Says: with auto_ack all that was sent is acknowledged
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
