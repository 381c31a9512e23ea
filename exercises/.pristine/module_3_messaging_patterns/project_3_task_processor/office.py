"""The office enters in a book what became of each invoice."""


def enter(parameters, book, idle=1.0):
    """Take the results out of ``invoices.results`` and enter each in *book*, until none has come for *idle* seconds.

    A book is a file in which each line is a result as JSON. It outlives this program: there may be one, from a call that was killed.
    An ``id`` has one line in it, for ever; a second result of an id is acknowledged, and not entered.

    Acknowledge a result when its line is in the file, and no sooner. When the file cannot be written, let the ``OSError`` through; the
    result is ready again then. However this function ends, it leaves no connection open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        book: The path of the file, which may not be there yet. No two programs enter in one book at the same time.
        idle: Seconds without a result after which to return; None to go on for ever.

    Returns:
        The number of lines that were entered.
    """
    # TODO: read what is in the book, then take results.
    raise NotImplementedError
