"""Acknowledges a whole share at once, to save frames.

Fails: test_a_killed_worker_loses_nothing
Says: job 0, job 1 will be engraved again
"""

from concurrent.futures import ThreadPoolExecutor

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    done = []
    with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(max_workers=1) as machine:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share)
        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if method is None and done:
                channel.basic_ack(delivery_tag=done[-1], multiple=True)
                done.clear()
            if closing():
                break
            if method is None:
                continue
            job = machine.submit(engrave, body)
            while not job.done():
                connection.process_data_events(time_limit=0.02)
            job.result()
            done.append(method.delivery_tag)
            engraved += 1
            if len(done) == share:
                channel.basic_ack(delivery_tag=done[-1], multiple=True)
                done.clear()
    return engraved
