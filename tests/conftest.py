"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Interrupts arrive, also where the tests were started by something that ignores them.

    Programs that they start inherit it, and some tests interrupt those.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
