"""Drops answers to questions that it has asked before, and believes all others.

Fails: test_foreign_answers_are_passed_over
Says: how_many() returned 1000
"""

import time
import uuid

import pika

REPLIES = "amq.rabbitmq.reply-to"


class Stock:
    def __init__(self, parameters):
        self._question = self._answer = None
        self._old = set()
        self._connection = pika.BlockingConnection(parameters)
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
        while self._answer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                self._old.add(self._question)
                raise TimeoutError(f"no answer about {item} within {within} s")
            self._connection.process_data_events(time_limit=left)
        return int(self._answer)

    def close(self):
        self._connection.close()

    def _note(self, channel, method, properties, body):
        if properties.correlation_id not in self._old:
            self._answer = body
            self._old.add(self._question)
