"""Engraves in a thread, and waits for it without calling pika.

Fails: test_a_long_job_is_engraved_once
Says: Before it was done, RabbitMQ had given the connection up
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
            job.result()
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved += 1
    return engraved
