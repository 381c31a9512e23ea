"""Calls its job as the course's own is called.

Fails: test_prometheus_can_read_both_files
Says: Prometheus refused your files: error loading scrape configs
"""


def scrape_config():
    return """
scrape_configs:
  - job_name: rabbitmq
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs:
      - targets: [rabbit1:15692, rabbit2:15692, rabbit3:15692]
  - job_name: shop-queues
    scrape_interval: 1s
    scrape_timeout: 1s
    metrics_path: /metrics/detailed
    params:
      family: [queue_coarse_metrics, queue_consumer_count]
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
