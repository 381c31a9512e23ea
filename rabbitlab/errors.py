"""The one error that reaches the user as a sentence instead of a traceback."""


class Mendable(Exception):
    """Something the user can put right: says what is wrong, where, and the command or edit that mends it."""
