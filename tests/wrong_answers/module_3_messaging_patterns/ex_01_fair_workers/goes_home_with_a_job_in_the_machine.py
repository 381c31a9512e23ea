"""Leaves at the bell, and does not wait for the helper that is at the machine.

Fails: test_the_job_in_the_machine_is_finished
Says: work() returned 0
"""

import threading

import pika


def work(parameters, share, engrave, closing):
    engraved, errors = [], []
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)

        def sign(delivery_tag):
            channel.basic_ack(delivery_tag=delivery_tag)
            engraved.append(delivery_tag)

        def help_out(delivery_tag, body):
            try:
                engrave(body)
            except Exception as error:
                errors.append(error)
            else:
                connection.add_callback_threadsafe(lambda: sign(delivery_tag))

        def take(channel, method, properties, body):
            threading.Thread(target=help_out, args=(method.delivery_tag, body), daemon=True).start()

        channel.basic_consume(queue="engravings", on_message_callback=take)
        while not closing() and not errors:
            connection.process_data_events(time_limit=0.5)
    if errors:
        raise errors[0]
    return len(engraved)
