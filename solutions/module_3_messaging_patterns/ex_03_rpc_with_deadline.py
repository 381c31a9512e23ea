"""Exercise 3.3, solved: ask the stock, and give up in time.

Brief  docs/module_3_messaging_patterns/exercises/ex_03_rpc_with_deadline.md
Walk   solutions/module_3_messaging_patterns/ex_03_rpc_with_deadline.ipynb
"""

import time
import uuid

import pika

REPLIES = "amq.rabbitmq.reply-to"


class Stock:
    """Asks the stockroom how many there are of a thing, over one connection, as often as the till likes; one question at a time.

    A question is a message to the queue ``stock.questions``: its body is the name of the thing, its properties say where the answer shall
    go (``reply_to``) and which question it is (``correlation_id``). An answer has the number as text in its body, and the
    ``correlation_id`` of its question. The stockroom is not yours: it answers late, twice or not at all, and now and then somebody else's
    answer comes to you.

    Besides ``stock.questions``, which is there, at most one queue exists because of you, and none once :meth:`close` has returned or the
    process was killed. Errors of pika pass through.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
    """

    def __init__(self, parameters):
        self._question = self._answer = None
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.basic_consume(queue=REPLIES, on_message_callback=self._note, auto_ack=True)

    def how_many(self, item, within):
        """Ask how many of *item* there are, and return the answer to this question, and to no other.

        An answer that comes before the deadline counts, however long the question had to wait in its queue. After the deadline nobody
        shall have to answer it: nobody gets the question any more. Those of other tills, in the same queue, are none of your business.

        Args:
            item: The name of the thing, text.
            within: Seconds until the deadline.

        Returns:
            The number, an int.

        Raises:
            TimeoutError: no answer to this question has come when *within* seconds have passed, whatever else has come.
            LookupError: there is no queue ``stock.questions``; raised at once.
        """
        self._question, self._answer = str(uuid.uuid4()), None
        label = _label(self._question, within)
        deadline = time.monotonic() + within
        try:
            self._channel.basic_publish(exchange="", routing_key="stock.questions", body=item, properties=label, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise LookupError("there is no queue stock.questions") from None
        # The clock runs from the question on: other answers make this loop turn, and do not make it longer.
        while self._answer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer about {item} within {within} s")
            self._connection.process_data_events(time_limit=left)
        return int(self._answer)

    def close(self):
        """Leave: no connection stays open, and no queue but ``stock.questions`` is left."""
        self._connection.close()

    def _note(self, channel, method, properties, body):
        if properties.correlation_id == self._question:
            self._answer = body


def _label(question, within):
    # Where to answer, what the answer shall repeat, and how long anybody wants to know, in milliseconds.
    return pika.BasicProperties(reply_to=REPLIES, correlation_id=question, expiration=str(int(within * 1000)))
