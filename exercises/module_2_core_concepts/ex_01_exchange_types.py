"""Exercise 2.1: four needs, four exchanges.

Brief  docs/module_2_core_concepts/exercises/ex_01_exchange_types.md
Check  ./lab check 2/ex_01
"""


def set_up(parameters):
    """Declare the shop's exchanges and queues, and bind them so that each message reaches the queues that it is for, and no others.

    ``jobs`` passes a message to one desk: the routing key ``packing`` leads to the queue ``desk.packing``, ``returns`` to ``desk.returns``,
    and ``gifts`` to ``desk.gifts``. Any other key leads nowhere.

    ``notices`` passes each message to all three desks, whatever its routing key.

    ``orders`` looks at the words of the routing key, which are region, country, event, and sometimes more:

    * ``orders.europe`` gets each message whose first word is ``europe``;
    * ``orders.placed`` gets each message with exactly three words, of which the third is ``placed``;
    * ``orders.gifts`` gets each message whose last word is ``gift``, however many stand before it.

    ``parcels`` looks at the headers, whatever the routing key:

    * ``parcels.air`` gets each message with ``express`` "yes" and ``size`` "small";
    * ``parcels.fragile`` gets each message with ``glass`` "yes", or ``antique`` "yes", or both.

    Exchanges and queues survive a restart of RabbitMQ, and stay when their consumers go. The function is called each morning: what is there
    stays as it is, and so do the messages in it and the bindings that others have made. It leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
    """
    # TODO: declare the four exchanges and the eight queues, and ask ./lab check what it thinks. Then bind need after need, jobs first.
    raise NotImplementedError
