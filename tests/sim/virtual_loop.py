"""An event loop without waiting: its clock jumps to the next timer, and it raises if nothing can
happen.

A test on it is deterministic and takes no time, whatever it sleeps. A deadlock of coroutines is an
error at once instead of a hang.
"""

import asyncio
import selectors


class NothingCanHappen(AssertionError):
    """Everything waits, and no timer is set: the code under test has hung."""


class _NoWaiting(selectors.SelectSelector):
    """Turns the wish to wait into a step of the clock."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise NothingCanHappen("nothing is scheduled")
        self.now_s += max(timeout, 0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `now_ns` and `monotonic_s` make it a Clock as well."""

    def __init__(self):
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self):
        return self._virtual.now_s

    def burn(self, seconds):
        """Let time pass while something runs: it keeps the loop busy."""
        self._virtual.now_s += seconds

    def monotonic_s(self):
        return self._virtual.now_s

    def now_ns(self):
        return int((1_700_000_000 + self._virtual.now_s) * 1e9)


def run_virtual(main, *arguments):
    """Run the coroutine function `main(loop, *arguments)` on a fresh virtual loop."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop, *arguments))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def on_virtual_loop(scene):
    """Return a decorator of tests: `scene(loop, test)` runs each on a fresh virtual loop.

    What the scene gives a test are no fixtures, so pytest must not see its parameters.
    """

    def decorate(test):
        def run():
            run_virtual(scene, test)

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate
