"""The plays of the matrix; importing this enters them all, in the order of the table."""

from rabbitlab.matrix.plays import nodes, connections, queues, handlers, endings  # noqa: F401, I001 - the order of the table
