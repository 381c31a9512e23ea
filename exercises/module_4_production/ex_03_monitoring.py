"""Exercise 4.3: watch the shop.

Brief  docs/module_4_production/exercises/ex_03_monitoring.md
Check  ./lab check 4/ex_03
"""


def scrape_config():
    """Say what Prometheus shall ask of the three nodes.

    Prometheus reaches them as ``rabbit1:15692``, ``rabbit2:15692`` and ``rabbit3:15692``. From each it shall bring, every second or every
    two: whether the node has a disk alarm, and, by virtual host and name, how many messages and how many consumers each of its queues has.
    The names of the jobs are yours, and must not be ``rabbitmq`` nor ``rabbitmq-queues``: those are the course's own.

    Returns:
        The text of a YAML file with ``scrape_configs:``.
    """
    # TODO: which path of a node's port 15692 has names of queues, and what must be asked for there?
    raise NotImplementedError


def alert_rules():
    """Say when somebody shall be told, by three alerts.

    ``OrdersWithoutConsumer``: a queue ``orders`` has had no consumer for five seconds, whether messages wait in it or not. (A packer that
    restarts is away for less.) Told within 15 seconds. Labels: ``severity`` is ``critical``, ``vhost``, ``queue``.

    ``DeadOrders``: there is a message in a queue ``orders.dead``, even a single one, and also while somebody looks at it. Told within 10
    seconds. Labels: ``severity`` is ``warning``, ``vhost``, ``queue``.

    ``NoDiskLeft``: a node has raised its disk alarm. Told within 10 seconds. Labels: ``severity`` is ``critical``, and one that names the
    node.

    The queues may be in any virtual host, and in several: each has an alert of its own. An alert ends within 10 seconds of what it was
    about.

    Returns:
        The text of a YAML file with ``groups:``.
    """
    # TODO: write each expression in such a way that it selects nothing while all is well.
    raise NotImplementedError
