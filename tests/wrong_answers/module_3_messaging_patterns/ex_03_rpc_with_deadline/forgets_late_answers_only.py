"""Makes a new address after a deadline has passed, and believes every answer otherwise.

Fails: test_a_second_copy_of_an_answer_is_not_returned
Says: how_many() returned 7
"""

import time
import uuid

import pika

REPLIES = "amq.rabbitmq.reply-to"


class Stock:
    def __init__(self, parameters):
        self._question = self._answer = None
        self._connection = pika.BlockingConnection(parameters)
        self._open()

    def _open(self):
        self._answers = []
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.basic_consume(queue=REPLIES, on_message_callback=self._note, auto_ack=True)

    def how_many(self, item, within):
        self._question, self._answer = str(uuid.uuid4()), None
        label = pika.BasicProperties(reply_to=REPLIES, correlation_id=self._question, expiration=str(int(within * 1000)))
        deadline = time.monotonic() + within
        try:
            self._channel.basic_publish(exchange="", routing_key="stock.questions", body=item, properties=label, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise LookupError("there is no queue stock.questions") from None
        while not self._answers:
            left = deadline - time.monotonic()
            if left <= 0:
                self._channel.close()
                self._open()
                raise TimeoutError(f"no answer about {item} within {within} s")
            self._connection.process_data_events(time_limit=left)
        return int(self._answers.pop(0))

    def close(self):
        self._connection.close()

    def _note(self, channel, method, properties, body):
        self._answers.append(body)
