"""Exercise 3.3: ask the stock, and give up in time.

Brief  docs/module_3_messaging_patterns/exercises/ex_03_rpc_with_deadline.md
Check  ./lab check 3/ex_03
"""


class Stock:
    """Asks the stockroom how many there are of a thing, over one connection, as often as the till likes; one question at a time.

    A question is a message to the queue ``stock.questions``: its body is the name of the thing, its properties say where the answer shall
    go (``reply_to``) and which question it is (``correlation_id``). An answer has the number as text in its body, and the
    ``correlation_id`` of its question. The stockroom is not yours: it answers late, twice or not at all, and now and then somebody else's
    answer comes to you.

    Besides ``stock.questions``, which is there, at most one queue exists because of you, and none once :meth:`close` has returned or the
    process was killed. Errors of pika pass through.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
    """

    def __init__(self, parameters):
        # TODO: connect, and be ready for answers before the first question.
        raise NotImplementedError

    def how_many(self, item, within):
        """Ask how many of *item* there are, and return the answer to this question, and to no other.

        An answer that comes before the deadline counts, however long the question had to wait in its queue. After the deadline nobody
        shall have to answer it: nobody gets the question any more. Those of other tills, in the same queue, are none of your business.

        Args:
            item: The name of the thing, text.
            within: Seconds until the deadline.

        Returns:
            The number, an int.

        Raises:
            TimeoutError: no answer to this question has come when *within* seconds have passed, whatever else has come.
            LookupError: there is no queue ``stock.questions``; raised at once.
        """
        # TODO: a number for the question, its label, and a loop that ends.
        raise NotImplementedError

    def close(self):
        """Leave: no connection stays open, and no queue but ``stock.questions`` is left."""
        raise NotImplementedError
