"""Does the work and signs for nothing.

Fails: test_each_job_is_engraved
Says: 6 jobs lay in the queue
"""

from concurrent.futures import ThreadPoolExecutor

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(max_workers=1) as machine:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share * 3)
        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if closing():
                break
            if method is None:
                continue
            job = machine.submit(engrave, body)
            while not job.done():
                connection.process_data_events(time_limit=0.02)
            job.result()
            engraved += 1
    return engraved
