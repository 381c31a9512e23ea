"""Lets nobody notice who is dead.

Fails: test_a_long_job_is_engraved_once
Says: agreed on 0 s
"""

import pika


def work(parameters, share, engrave, closing):
    engraved = 0
    parameters.heartbeat = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share)
        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if closing():
                break
            if method is None:
                continue
            engrave(body)
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved += 1
    return engraved
