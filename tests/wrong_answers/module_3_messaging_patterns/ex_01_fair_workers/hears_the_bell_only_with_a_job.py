"""Asks whether the shop closes when a job comes, and none comes any more.

Fails: test_each_job_is_engraved
Says: still running after
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
                continue
            if closing():
                break
            job = machine.submit(engrave, body)
            while not job.done():
                connection.process_data_events(time_limit=0.02)
            job.result()
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved += 1
    return engraved
