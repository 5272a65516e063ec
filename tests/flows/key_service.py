"""A key service that may wait, and be away."""

from __future__ import annotations

from collections import Counter


class Service:
    """A key service that may wait; it counts what it is asked for, and raises what it is told to."""

    waits = True

    def __init__(self, keys, /):
        self._keys = keys
        self.trouble = None
        self.hold = None
        """Called before every answer."""
        self.asked = Counter()
        """How many times each data key was to be unwrapped."""
        self.wraps = 0

    def keks(self):
        return self._keys.keks()

    def primary(self, tenant_id, /):
        return self._keys.primary(tenant_id)

    def wrap(self, data_key, /, *, tenant_id, key_id, version):
        self.wraps += 1
        self._answer()
        return self._keys.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)

    def unwrap(self, wrapped, /):
        self.asked[wrapped.tenant_id] += 1
        self._answer()
        return self._keys.unwrap(wrapped)

    def _answer(self):
        if self.hold is not None:
            self.hold()
        if self.trouble is not None:
            raise self.trouble
