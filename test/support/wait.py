"""Waiting for conditions: the only kind of waiting that the tests do."""
import time


def wait_for(condition, seconds=5.0, what="condition"):
    """Waits until `condition()` is true and returns its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("%s: not within %g s" % (what, seconds))
        time.sleep(0.01)
