"""Attempts to attach that a test ends itself."""

from concurrent.futures import Future


def ended(refusal):
    """Return an attempt that has ended."""
    attempt = Future()
    attempt.set_result(refusal)
    return attempt
