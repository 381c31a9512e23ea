"""A bare loop on pika's SelectConnection: fill the window, take confirms, fill it again. No outcome, no deadline, no reconnect."""

import time

import pika

from benchmarks.contender import BODY, PERSISTENT, WINDOW, Task, task, tell


class Loop:
    """Publishes from the callbacks of one connection."""

    def __init__(self, asked: Task):
        self._asked = asked
        self._sent = self._confirmed = 0
        self._below, self._single = 1, set()
        self._error = None
        self._connection = pika.SelectConnection(
            pika.URLParameters(asked.url),
            on_open_callback=self._opened,
            on_open_error_callback=self._failed,
            on_close_callback=self._failed,
        )

    def run(self) -> None:
        """Until everything is confirmed, or the connection is lost."""
        self._connection.ioloop.start()
        if self._error:
            raise self._error

    def _failed(self, _, error) -> None:
        self._error = error
        self._connection.ioloop.stop()

    def _opened(self, connection) -> None:
        connection.channel(on_open_callback=self._ready)

    def _ready(self, channel) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=self._begin)

    def _begin(self, _) -> None:
        self._began = time.perf_counter()
        self._fill()

    def _fill(self) -> None:
        while self._sent - self._confirmed < WINDOW and self._asked.wants_more(self._sent, self._began):
            properties = pika.BasicProperties(message_id=str(self._sent), delivery_mode=PERSISTENT)
            self._channel.basic_publish("", self._asked.queue, BODY, properties, mandatory=True)
            self._sent += 1

    def _answered(self, frame) -> None:
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            told = [one for one in range(self._below, tag + 1) if one not in self._single]
            self._single.difference_update(range(self._below, tag + 1))
            self._below = tag + 1
            self._confirmed += len(told)
        else:
            self._single.add(tag)
            self._confirmed += 1
        self._fill()
        if self._confirmed == self._sent:
            tell(self._sent, self._began)
            self._connection.ioloop.stop()


if __name__ == "__main__":
    Loop(task()).run()
