"""Exercise 4.2: payments that fail.

Brief  docs/module_4_production/exercises/ex_02_error_handling.md
Check  ./lab check 4/ex_02
"""


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
    # TODO: which queues are needed, and where does each send what has waited long enough?
    raise NotImplementedError
