"""Exercise 4.2, solved: payments that fail.

Brief  docs/module_4_production/exercises/ex_02_error_handling.md
Proof  solutions/module_4_production/ex_02_error_handling.md
"""

import json

import pika

QUORUM = {"x-queue-type": "quorum"}
ATTEMPT = "payment-attempt"  # our own header: RabbitMQ leaves it alone, and starts x-death anew whenever a client publishes


class Unavailable(Exception):
    """The card company does not answer; later it may."""


class Declined(Exception):
    """The card company says no, and will say no again."""


def handle_payments(parameters, charge, delays=(1, 2, 4)):
    """Charge each payment that comes into the queue ``payments``, until the connection is lost.

    ``payments`` is there. Declare what else you need: durable quorum queues whose names begin with ``payments.``, among them
    ``payments.dead``. Your function may be started again at any time, and finds them there.

    Call ``charge`` with the body of each message, read as JSON. Where it

    * returns, the payment is charged, and done;
    * raises ``Unavailable``, try that payment again after ``delays[0]`` seconds; where it fails so again, after ``delays[1]`` more, and so
      on. When the last of these tries has failed as well, park it in ``payments.dead``;
    * raises ``Declined``, park it in ``payments.dead`` at once. Do the same with a body that is no JSON, without calling ``charge``;
    * raises anything else, let it through; that payment is ready again.

    What is parked has the body, the ``message_id`` and the headers that it came with, and one more header, ``reason``: the text of the
    exception. While a payment waits, the others are charged. An ``x-death`` that a payment comes with decides nothing.

    Your process may be killed between any two lines, and somebody may delete a queue of yours: whatever happens, a payment that is neither
    charged nor parked is in a queue, and a later start takes it up where the last one left it. That it is charged twice then is allowed.
    Exceptions of pika's are let through: whoever has started you starts you again.

    Args:
        parameters: What ``pika.BlockingConnection`` takes, ``pika.ConnectionParameters`` or a list of them.
        charge: Called with one payment, a dict.
        delays: How many seconds to wait before each further try; none at all means no further try.
    """
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        _declare(channel, delays)
        while True:  # consume ends when the broker cancels it, and a worker that ends in silence is missed by nobody
            for method, properties, body in channel.consume(queue="payments"):
                queue, headers = _tried(charge, properties, body, delays)
                if queue:
                    moved = _copy(properties, headers)
                    channel.basic_publish(exchange="", routing_key=queue, body=body, properties=moved, mandatory=True)
                # The copy is confirmed. Were this line above it, a crash between the two would lose the payment; so it doubles it.
                channel.basic_ack(delivery_tag=method.delivery_tag)


def _tried(charge, properties, body, delays):
    """Charge one payment; returns the queue that it has to move to, if any, and the header to write on it."""
    attempt = (properties.headers or {}).get(ATTEMPT, 0)
    try:
        payment = json.loads(body)
    except ValueError as error:
        return "payments.dead", {"reason": str(error)}
    try:
        charge(payment)
    except Unavailable as error:
        if attempt < len(delays):
            return _waiting(delays[attempt]), {ATTEMPT: attempt + 1}
        return "payments.dead", {"reason": str(error)}
    except Declined as error:
        return "payments.dead", {"reason": str(error)}
    return None, {}


def _copy(properties, headers):
    """The same properties, with the headers they came with and *headers*; our own count of tries goes no further than we say."""
    came_with = {name: value for name, value in (properties.headers or {}).items() if name != ATTEMPT}
    properties.headers = {**came_with, **headers}
    properties.expiration = None  # what is parked stays, and what waits does so for as long as its queue says
    return properties


def _declare(channel, delays):
    """One waiting queue for each delay: all that is in it waits equally long, so nothing short stands behind something long."""
    channel.queue_declare(queue="payments.dead", durable=True, arguments={**QUORUM, "x-delivery-limit": -1})
    for seconds in delays:
        back = {"x-message-ttl": round(seconds * 1000), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "payments"}
        # Without these two, what comes back while `payments` is missing would be lost.
        safely = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
        channel.queue_declare(queue=_waiting(seconds), durable=True, arguments={**QUORUM, **back, **safely})


def _waiting(seconds):
    return f"payments.retry.{seconds:g}s"
