"""Exercise 3.2, solved: the topic router.

Brief  docs/module_3_messaging_patterns/exercises/ex_02_topic_router.md
Walk   solutions/module_3_messaging_patterns/ex_02_topic_router.ipynb
"""

import json

import pika

COUNTRIES = ("de", "fr", "it")
EVENTS = ("placed", "paid", "shipped", "cancelled")


def route_orders(parameters, idle=0.5):
    """Give each order in the queue ``orders.raw`` its routing key, and publish it to the topic exchange ``happened``.

    Queue and exchange are there: declare nothing. The key is ``order.<country>.<event>``. The two words are what the order, a JSON object,
    gives as ``country`` and as ``event``, in lower case and without blanks around; one that is not in ``COUNTRIES`` or not in ``EVENTS``,
    whatever it is and however close it comes, becomes ``other``. A body that is no JSON object has no country and no event.

    An order goes on as it came, with the same body and the same properties, and the orders keep their sequence. Acknowledge an order when
    RabbitMQ has confirmed it in its next place, and before the next one is published.

    An order that a queue refuses, and one that no queue has asked for, ends the work: let pika's exception through. Such an order is then
    ready in ``orders.raw``, and so are those behind it. However this function ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        idle: Seconds without another order after which to return.

    Returns:
        The number of orders that were published and acknowledged.
    """
    routed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        for method, properties, body in channel.consume(queue="orders.raw", inactivity_timeout=idle):
            if method is None:
                break
            channel.basic_publish(exchange="happened", routing_key=_key(body), body=body, properties=properties, mandatory=True)
            # The order has a next place, so this one may go. Were this line above the publish, an exception there would lose the order.
            channel.basic_ack(delivery_tag=method.delivery_tag)
            routed += 1
    return routed


def _key(body):
    try:
        order = json.loads(body)
    except ValueError:
        order = None
    if not isinstance(order, dict):
        order = {}
    return f"order.{_word(order.get('country'), COUNTRIES)}.{_word(order.get('event'), EVENTS)}"


def _word(given, known):
    word = given.strip().lower() if isinstance(given, str) else None
    return word if word in known else "other"
