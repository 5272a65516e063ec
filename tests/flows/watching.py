"""What interrupts a flow, and what watches its store and its observer."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading

from cloud_integrations.domain import events
from cloud_integrations.domain.audit import STATED_REASON, Outcome
from cloud_integrations.domain.events import DETAILS, EVENTS, FACT_KEYS
from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations.ports.store import Record


class Interruption:
    """Raises *error* in the main thread, as a signal handler does, wherever that thread stands; once, and for certain."""

    def __init__(self, error):
        self._error = error
        self._raised, self._sent, self._left = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self):
        self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_):
        if self._raised.is_set():
            self._sent.wait(300)
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, _number, _frame):
        if not self._raised.is_set():
            self._raised.set()
            raise self._error("in a signal handler")

    def strike(self):
        """Interrupt; another thread than the main one stands still until that one has left."""
        try:
            self._send()
        finally:
            self._sent.set()
        if threading.current_thread() is not threading.main_thread():
            self._left.wait(300)

    def _send(self):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        # A signal that comes just before a thread begins to wait is only noticed with the next one.
        while not self._raised.wait(0.02):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def leave(self):
        """Say that the main thread has left what was interrupted."""
        self._left.set()


class Watched:
    """A port that lets the test look before and after each call, and fail one of them."""

    def __init__(self, port, /):
        self._port = port
        self.calls: list[tuple[str, tuple]] = []
        self.before = None
        """Called with a method's name and arguments before it runs; may raise."""
        self.after = None
        """The same, when it has run: what it raises comes after the change was made."""

    def __repr__(self):
        return f"Watched({self._port!r})"

    def __getattr__(self, name):
        method = getattr(self._port, name)

        def look(hook, args):
            if hook is not None:
                hook(name, args)

        if inspect.iscoroutinefunction(method):

            async def call(*args, **named):
                self.calls.append((name, args))
                look(self.before, args)
                # A real store waits here, so other tasks get a turn.
                await asyncio.sleep(0)
                result = await method(*args, **named)
                look(self.after, args)
                return result
        else:

            def call(*args, **named):
                self.calls.append((name, args))
                look(self.before, args)
                result = method(*args, **named)
                look(self.after, args)
                return result

        return call

    def count(self, name):
        return sum(called == name for called, _ in self.calls)

    def fail(self, nth, /, name="apply", *, error=StorageUnavailableError, afterwards=False, times=1):
        """Let the call number *nth* from now to *name* raise, before or after its change was made; *times* in a row."""
        seen = 0

        def hook(called, _):
            nonlocal seen
            if called == name:
                seen += 1
                if nth <= seen < nth + times:
                    raise error()

        if afterwards:
            self.after = hook
        else:
            self.before = hook

    def heal(self):
        self.before = self.after = None


class Observed:
    """Collects the facts that are told."""

    def __init__(self):
        self.told = []

    def tell(self, fact, /):
        self.told.append(fact)

    @property
    def names(self):
        return [fact.name for fact in self.told]

    def check(self, secrets, /):
        """Every fact has the keys that are documented, as text, and none repeats a secret."""
        for fact in self.told:
            keys = {**FACT_KEYS, **{kind.fact: kind.keys for kind in events._REGISTERED.values()}}[fact.name]
            assert keys.always <= fact.facts.keys() <= keys.always | keys.sometimes, fact
            assert all(isinstance(value, str) and value for value in fact.facts.values()), fact
            assert not [secret for secret in secrets if secret and secret in "\n".join(fact.facts.values())], fact.name


def check_recorded(units, /):
    """Every record among these units of work is that of an event of the list, with the details that are documented, as text."""
    kinds = [*EVENTS.values(), *events._REGISTERED.values()]
    details_of = {**DETAILS, **{kind.action: kind.details for kind in events._REGISTERED.values()}}
    for event in (change.event for changes in units for change in changes if isinstance(change, Record)):
        if event.outcome is Outcome.DENIED and event.action not in details_of:
            # What a host refused is in its own words.
            assert event.details.keys() == {"covers"}, event
            continue
        assert (event.action, event.outcome) in {(kind.action, kind.outcome) for kind in kinds}, event
        details = details_of[event.action]
        assert details.always <= event.details.keys() <= details.always | details.sometimes | {STATED_REASON}, event
        assert all(isinstance(value, str) and value for value in event.details.values()), event
