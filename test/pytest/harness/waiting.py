"""Waiting for something to become true, never for time to pass."""

import time

# Bounds how long a broken server can hold a test up; no test asserts on durations.
PATIENCE = 15.0


def eventually(condition, what, patience=PATIENCE):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + patience
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
