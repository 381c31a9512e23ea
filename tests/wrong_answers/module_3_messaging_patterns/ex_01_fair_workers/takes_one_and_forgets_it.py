"""Takes one job at a time, acknowledged by the taking.

Fails: test_a_killed_worker_loses_nothing
Says: job 2: engraved by nobody, and in no queue
"""

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        while not closing():
            method, _, body = channel.basic_get(queue="engravings", auto_ack=True)
            if method is None:
                connection.sleep(0.1)
                continue
            engrave(body)
            engraved += 1
    return engraved
