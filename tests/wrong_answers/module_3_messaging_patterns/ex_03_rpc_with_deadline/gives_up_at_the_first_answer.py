"""Gives up when the first answer that comes is another one.

Fails: test_a_late_answer_is_not_returned
Says: comes back after any message
"""

import time
import uuid

import pika

REPLIES = "amq.rabbitmq.reply-to"


class Stock:
    def __init__(self, parameters):
        self._answers = []
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.basic_consume(queue=REPLIES, on_message_callback=self._note, auto_ack=True)

    def how_many(self, item, within):
        question = str(uuid.uuid4())
        self._answers.clear()
        label = pika.BasicProperties(reply_to=REPLIES, correlation_id=question, expiration=str(int(within * 1000)))
        deadline = time.monotonic() + within
        try:
            self._channel.basic_publish(exchange="", routing_key="stock.questions", body=item, properties=label, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise LookupError("there is no queue stock.questions") from None
        while not self._answers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer about {item} within {within} s")
            self._connection.process_data_events(time_limit=left)
        number, amount = self._answers[0]
        if number != question:
            raise TimeoutError(f"no answer about {item}")
        return int(amount)

    def close(self):
        self._connection.close()

    def _note(self, channel, method, properties, body):
        self._answers.append((properties.correlation_id, body))
