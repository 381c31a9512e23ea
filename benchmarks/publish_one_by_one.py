"""As most tutorials do it: pika's BlockingConnection, which waits for the confirm of each message before the next."""

import time

import pika

from benchmarks.contender import BODY, PERSISTENT, task, tell


def main(confirms: bool = True) -> None:
    """Publish as asked."""
    asked = task()
    with pika.BlockingConnection(pika.URLParameters(asked.url)) as connection:
        channel = connection.channel()
        if confirms:
            channel.confirm_delivery()
        sent, began = 0, time.perf_counter()
        while asked.wants_more(sent, began):
            properties = pika.BasicProperties(message_id=str(sent), delivery_mode=PERSISTENT)
            channel.basic_publish(exchange="", routing_key=asked.queue, body=BODY, properties=properties, mandatory=confirms)
            sent += 1
        if not confirms:  # the node has read all of it when it answers something that was asked after it
            channel.queue_declare(queue=asked.queue, passive=True)
        tell(sent, began)


if __name__ == "__main__":
    main()
