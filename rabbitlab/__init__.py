"""RabbitMQ by doing: tools that look, tools that break, and the graders. Nothing here does messaging for a lesson."""

__version__ = "0.1.0"
