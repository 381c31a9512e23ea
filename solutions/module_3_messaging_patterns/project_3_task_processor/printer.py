"""A printer prints invoices, tries again what has jammed, and says what became of each."""

import json

import pika

MOST_ATTEMPTS = 3


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
    finished = set()
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        for method, properties, body in channel.consume(queue="invoices", inactivity_timeout=idle):
            if method is None:
                break
            if properties.message_id not in finished and _deal(channel, properties, body, print_invoice):
                finished.add(properties.message_id)
            # Whatever comes after this invoice is confirmed by now. Were this line earlier, who is killed in between would lose it.
            channel.basic_ack(delivery_tag=method.delivery_tag)
    return len(finished)


def _deal(channel, properties, body, print_invoice):
    """Print, and put what follows into its queue; True when that is a result."""
    attempt = (properties.headers or {}).get("attempt", 1)
    invoice = {"message_id": properties.message_id, "priority": properties.priority}
    try:
        print_invoice(json.loads(body))
    except Jam as jam:
        if attempt < MOST_ATTEMPTS:
            _put(channel, "invoices", body, headers={"attempt": attempt + 1}, **invoice)
            return False
        _put(channel, "invoices.failed", body, headers={"attempt": attempt, "reason": str(jam)}, **invoice)
        outcome = "failed"
    else:
        outcome = "printed"
    result = {"id": properties.message_id, "outcome": outcome, "attempts": attempt}
    _put(channel, "invoices.results", json.dumps(result), message_id=properties.message_id)
    return True


def _put(channel, queue, body, **properties):
    """Publish and wait for the confirm."""
    label = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, **properties)
    channel.basic_publish(exchange="", routing_key=queue, body=body, properties=label, mandatory=True)
