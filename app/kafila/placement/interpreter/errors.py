"""Why a kind could not be interpreted."""


class InterpretError(Exception):
    """The text says who failed and why."""

    expected = True
