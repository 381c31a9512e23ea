"""Takes whatever RabbitMQ sends.

Fails: test_nobody_holds_more_than_their_share
Says: and 20 were no longer there for anybody else
"""

from concurrent.futures import ThreadPoolExecutor

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(max_workers=1) as machine:
        channel = connection.channel()
        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if closing():
                break
            if method is None:
                continue
            job = machine.submit(engrave, body)
            while not job.done():
                connection.process_data_events(time_limit=0.02)
            job.result()
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved += 1
    return engraved
