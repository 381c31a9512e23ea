"""A verdict that the plugin gives by itself, because the answer never reached a check."""

from rabbitlab.grading.feedback import Feedback

KINDS = ("failed", "not_started", "timeout", "exit", "flood", "syntax", "error")


class Verdict(Exception):
    """The attempt ends here, with this feedback.

    Attributes:
        kind: One of :data:`KINDS`.
        feedback: What to tell the learner.
    """

    def __init__(self, kind: str, saw: str, rule: str = "", look: str = ""):
        assert kind in KINDS, kind
        self.kind = kind
        self.feedback = Feedback(saw, rule, look)
        super().__init__(self.feedback)

    def __reduce__(self):
        """Travel between processes whole."""
        return type(self), (self.kind, *self.feedback.parts)


class Late(Verdict, TimeoutError):
    """What was waited for did not happen in time."""

    def __init__(self, saw: str, rule: str = "", look: str = ""):
        super().__init__("timeout", saw, rule, look)

    def __reduce__(self):
        """As :class:`Verdict`; its kind is given."""
        return type(self), self.feedback.parts
