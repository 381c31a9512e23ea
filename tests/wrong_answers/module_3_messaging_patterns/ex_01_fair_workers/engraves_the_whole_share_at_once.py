"""Works on its whole share at the same time.

Fails: test_nobody_holds_more_than_their_share
Says: meanwhile it was given
"""

import threading

import pika


def work(parameters, share, engrave, closing):
    engraved = []
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=share)

        def sign(method):
            channel.basic_ack(delivery_tag=method.delivery_tag)
            engraved.append(method.delivery_tag)

        def help_out(method, body):
            engrave(body)
            connection.add_callback_threadsafe(lambda: sign(method))

        for method, _, body in channel.consume(queue="engravings", inactivity_timeout=0.5):
            if closing():
                break
            if method is not None:
                threading.Thread(target=help_out, args=(method, body), daemon=True).start()
    return len(engraved)
