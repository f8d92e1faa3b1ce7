"""Ctrl-C, SIGTERM and a closed terminal while a model learns: the step under way ends first."""

import signal
import threading


class Interrupt:
    """Takes SIGINT, SIGTERM and SIGHUP from :meth:`watch` to :meth:`release`: the first is noted in ``signal``,
    a second ends the process.

    Only the main thread of a process may take signals; elsewhere nothing is taken.
    """

    def __init__(self):
        self.signal, self._handlers = None, {}

    def watch(self, may_wait) -> None:
        """Where ``may_wait()`` is false, the first signal ends the process as well."""

        def note(number, _):
            if self.signal is not None or not may_wait():
                raise SystemExit(128 + number)
            self.signal = number

        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
            # nohup has SIGHUP ignored, and so it stays
            self._handlers = {
                number: signal.signal(number, note) for number in numbers
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN}

    def leave(self) -> None:
        """End the process, with the exit code that shells give the signal, if one was noted."""
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
