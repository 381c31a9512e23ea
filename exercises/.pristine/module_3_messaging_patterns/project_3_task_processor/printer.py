"""A printer prints invoices, tries again what has jammed, and says what became of each."""


class Jam(Exception):
    """What ``print_invoice`` raises when the paper jams; its text says where."""


def work(parameters, print_invoice, idle=1.0):
    """Take invoices out of ``invoices``, have at most one in hand, and print it, until none has come for *idle* seconds.

    The header ``attempt`` says which attempt at printing this one is; an invoice without it is at its first. What follows depends on how
    ``print_invoice`` ends:

    * It returns: put a result into ``invoices.results``.
    * It raises :class:`Jam` at the first or second attempt: put a copy into ``invoices``, with the header ``attempt`` one higher.
    * It raises :class:`Jam` at the third: put a copy into ``invoices.failed``, with the header ``attempt`` as it was and in the header
      ``reason`` the text of the jam; then put a result into ``invoices.results``.

    When RabbitMQ has confirmed all that you have put, acknowledge what you have in hand, and no sooner. A copy has the body, the
    ``message_id`` and the priority of the original. A result is JSON, ``{"id": "2041", "outcome": "printed", "attempts": 1}``; the outcome
    is ``printed`` or ``failed``, and its ``message_id`` is the invoice's. All are persistent.

    An invoice of which this call has put a result already, come once more under the same ``message_id``, is acknowledged and no more: it
    is not printed, and has no second result. When a queue is not there (``pika.exceptions.UnroutableError``), when ``print_invoice``
    raises anything else, or when the connection is lost, let the exception through; the invoice is ready again then. However this
    function ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        print_invoice: Called with one invoice, a dict.
        idle: Seconds without an invoice after which to return; None to go on for ever.

    Returns:
        The number of results that were put into ``invoices.results``.
    """
    # TODO: first for a printer that never jams, then for one that does.
    raise NotImplementedError
