"""Acknowledges a job that failed, too.

Fails: test_an_exception_gives_the_job_back
Says: In the queue were afterwards: job 2, job 3
"""

from concurrent.futures import ThreadPoolExecutor

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(max_workers=1) as machine:
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
            channel.basic_ack(delivery_tag=method.delivery_tag)
            job.result()
            engraved += 1
    return engraved
