"""Exercise 4.3, solved: watch the shop.

Brief  docs/module_4_production/exercises/ex_03_monitoring.md
Proof  solutions/module_4_production/ex_03_monitoring.md
"""

SCRAPE = """
scrape_configs:
  # The sums of each node, in which no queue has a name: the alarms are there. It costs a node more than the other, so every two seconds do.
  - job_name: shop-nodes
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs:
      - targets: [rabbit1:15692, rabbit2:15692, rabbit3:15692]

  # Each queue by name, and no family of metrics that no rule uses. A queue is told by the node that leads it, so all three are asked.
  - job_name: shop-queues
    scrape_interval: 1s
    scrape_timeout: 1s
    metrics_path: /metrics/detailed
    params:
      family: [queue_coarse_metrics, queue_consumer_count]
    static_configs:
      - targets: [rabbit1:15692, rabbit2:15692, rabbit3:15692]
"""

RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      # The series of a queue without consumers is there, and says 0. "max by" keeps the two labels that say which queue it is, and leaves
      # out which job and which node told us, so that one queue is one alert.
      - alert: OrdersWithoutConsumer
        expr: max by (vhost, queue) (rabbitmq_detailed_queue_consumers{queue="orders"}) == 0
        for: 5s
        labels:
          severity: critical
        annotations:
          summary: "Nobody packs: {{ $labels.queue }} in the virtual host {{ $labels.vhost }} has no consumer."

      # All messages, and not the ready ones: a parcel that somebody is looking at is still a dead one. And how many there are, not how many
      # arrive: what has lain there since yesterday has to be told, too.
      - alert: DeadOrders
        expr: max by (vhost, queue) (rabbitmq_detailed_queue_messages{queue="orders.dead"}) > 0
        labels:
          severity: warning
        annotations:
          summary: "{{ $value }} orders have failed for good, in the virtual host {{ $labels.vhost }}."

      # Not summed up: the label "instance" says which node it is.
      - alert: NoDiskLeft
        expr: max by (instance) (rabbitmq_alarms_free_disk_space_watermark) > 0
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.instance }} has no disk left, so nobody can publish anywhere in the cluster."
"""


def scrape_config():
    """Say what Prometheus shall ask of the three nodes.

    Prometheus reaches them as ``rabbit1:15692``, ``rabbit2:15692`` and ``rabbit3:15692``. From each it shall bring, every second or every
    two: whether the node has a disk alarm, and, by virtual host and name, how many messages and how many consumers each of its queues has.
    The names of the jobs are yours, and must not be ``rabbitmq`` nor ``rabbitmq-queues``: those are the course's own.

    Returns:
        The text of a YAML file with ``scrape_configs:``.
    """
    return SCRAPE


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
    return RULES
