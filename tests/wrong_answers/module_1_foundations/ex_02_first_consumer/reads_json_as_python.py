"""Takes JSON for Python, which it is as long as nothing is null, true or false.

Fails: test_each_order_is_packed
Says: NameError
"""

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
            if method is None:
                break
            pack(eval(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
