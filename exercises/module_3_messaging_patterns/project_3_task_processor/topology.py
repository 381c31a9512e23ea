"""Where invoices wait, where they end, and where their results go."""


def declare(parameters):
    """Declare the queues ``invoices``, ``invoices.failed`` and ``invoices.results``. Called again, it changes nothing.

    All three are quorum queues: no invoice and no result is to go with a node, and ``invoices`` is to heed priorities.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
    """
    # TODO: three queues of the kind that the docstring says.
    raise NotImplementedError
