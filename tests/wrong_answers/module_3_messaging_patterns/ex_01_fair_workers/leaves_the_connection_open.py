"""Returns, and keeps what it holds.

Fails: test_what_is_held_at_closing_time_is_given_back
Says: and 1 connection of your program open
"""

from concurrent.futures import ThreadPoolExecutor

import pika

OPEN = []


def work(parameters, share, engrave, closing):
    engraved = 0
    connection = pika.BlockingConnection(parameters)
    OPEN.append(connection)
    with ThreadPoolExecutor(max_workers=1) as machine:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share)
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
