"""Find the message that kills its consumer's process, and do not take its neighbours for it.

A quorum queue counts, in ``x-delivery-count``, how often a consumer went away with a message in hand. It cannot know with which of them
the consumer was busy: of twenty that were fetched, nineteen waited. So a message that has seen too many consumers go is not given up at
once. It is tried a last time with nothing else in hand, and what is counted then counts for it alone.
"""

from .message import Message
from .retries import Retries


class Care:
    """Decides whether a consumer may hold many messages or one.

    Where there are no waiting queues the same count has the failures in it that handlers reported, so it proves nothing: then many it is.

    Args:
        retries: How often a message is tried.
        prefetch: How many messages are many.
    """

    def __init__(self, retries: Retries, prefetch: int):
        self._limit = retries.limit
        self._watches = retries.waits and prefetch > 1
        self._proves = retries.waits
        self._many = prefetch
        self._calm = False  # the last message was none to be careful with
        self.careful = False

    @property
    def prefetch(self) -> int:
        """How many messages may be in hand."""
        return 1 if self.careful else self._many

    def changes(self, message: Message) -> bool:
        """Whether *message* is not to be handled now, but given back, since ``prefetch`` is another one from here on.

        One at a time begins with the last attempt of a message that has seen consumers go. It ends when one message was handled that had
        not, and the next one has not, either: so at least one is handled between two changes.
        """
        suspect = message.deaths > 0 and message.attempt == self._last(message)
        calm, self._calm = self._calm, not suspect
        if suspect != self.careful and self._watches and (suspect or calm):
            self.careful, self._calm = suspect, False
            return True
        return False

    def is_proved(self, message: Message) -> bool:
        """Whether *message* has taken a consumer with it when it was alone."""
        return self._proves and message.deaths > 0 and message.attempt > self._last(message)

    def _last(self, message: Message) -> int:
        """Which attempt is its last. A first death proves nothing, however many calls have failed before."""
        return max(self._limit, message.failures + 2)
