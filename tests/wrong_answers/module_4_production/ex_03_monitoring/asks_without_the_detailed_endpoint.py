"""Asks /metrics only, where no queue has a name.

Fails: test_each_node_is_asked_for_what_the_rules_need
Says: how many consumers those on rabbit1 and rabbit2 and rabbit3
"""


def scrape_config():
    return """
scrape_configs:
  - job_name: shop-nodes
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs:
      - targets: [rabbit1:15692, rabbit2:15692, rabbit3:15692]
"""


def alert_rules():
    return """
groups:
  - name: shop
    rules:
      - alert: OrdersWithoutConsumer
        expr: max by (vhost, queue) (rabbitmq_detailed_queue_consumers{queue="orders"}) == 0
        for: 5s
        labels:
          severity: critical
      - alert: DeadOrders
        expr: max by (vhost, queue) (rabbitmq_detailed_queue_messages{queue="orders.dead"}) > 0
        labels:
          severity: warning
      - alert: NoDiskLeft
        expr: max by (instance) (rabbitmq_alarms_free_disk_space_watermark) > 0
        labels:
          severity: critical
"""
