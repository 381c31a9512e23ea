"""Asks whether the shop closes when no job comes, and at no other time.

Fails: test_what_is_held_at_closing_time_is_given_back
Says: What a program asks only when none comes
"""

from concurrent.futures import ThreadPoolExecutor

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(max_workers=1) as machine:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share)
        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if method is None:
                if closing():
                    break
                continue
            job = machine.submit(engrave, body)
            while not job.done():
                connection.process_data_events(time_limit=0.02)
            job.result()
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved += 1
    return engraved
