"""Does not ask its thread whether the work went well.

Fails: test_an_exception_gives_the_job_back
Says: What came of work() was: it returned
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
            engraved += 1
    return engraved
