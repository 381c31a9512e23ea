"""The graders' side of the course: a pytest plugin that runs an answer on the live cluster and says what it saw."""

from rabbitlab.grading.feedback import feedback

__all__ = ["feedback", "fresh_vhost"]


def __getattr__(name: str):
    """``fresh_vhost`` is imported when it is asked for: a grader does not need it."""
    if name == "fresh_vhost":
        from rabbitlab.grading.room import fresh_vhost

        return fresh_vhost
    raise AttributeError(name)
