"""The device authorization endpoint, the polls, and the person who enters the code (RFC 8628)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from cloud_integrations.domain.secret import Secret

from .requests import Work, digest_of
from .tokens import DeviceRequest, SimulatedGrant, Tokens
from .wrong_answers import json_answer

_LIFETIME: Final = timedelta(minutes=15)
_INTERVAL: Final = timedelta(seconds=1)


class Devices(Tokens):
    """Answers device authorization requests and polls.  What begins with `_` is called while the lock is held."""

    def enter_code(self, user_code: str | Secret, /, *, approve: bool = True) -> None:
        """Act as the person: enter *user_code* on the provider's page, and approve or deny.

        Raises `ValueError` when no such code waits.
        """
        entered = user_code.reveal() if isinstance(user_code, Secret) else user_code
        with self._lock:
            for asked in self._devices.values():
                if asked.user_code == entered and asked.approved is None and self.clock.now() < asked.expires_at:
                    asked.approved, asked.account = approve, self.account
                    return
        raise ValueError("no such code waits")

    def _begin_device(self, work: Work, form: Mapping[str, str]) -> None:
        if not self.device_codes:
            return work.refuse("not_found", 404)
        device_code = f"fake-device-code-{self._entropy.bytes(16).hex()}"
        digits = self._entropy.bytes(4).hex().upper()
        asked = DeviceRequest(
            user_code=f"{digits[:4]}-{digits[4:]}", scopes=tuple(form.get("scope", "").split()), expires_at=self.clock.now() + _LIFETIME
        )
        self._devices[digest_of(device_code)] = asked
        page = f"{self.base_url}/activate"
        answer = {"device_code": device_code, "user_code": asked.user_code, "verification_uri": page}
        answer["verification_uri_complete"] = f"{page}?user_code={asked.user_code}"
        work.response = json_answer(
            200, {**answer, "expires_in": int(_LIFETIME.total_seconds()), "interval": int(_INTERVAL.total_seconds())}
        )
        return None

    def _decide_device(self, work: Work) -> SimulatedGrant | None:
        """Return the grant that the person gave, once; otherwise refuse the poll (RFC 8628 §3.5)."""
        asked = self._devices.get(work.presented or "")
        if asked is None:
            work.refuse("invalid_grant")
        elif self.clock.now() >= asked.expires_at:
            work.refuse("expired_token")
        elif asked.approved is None:
            work.refuse("authorization_pending")
        elif not asked.approved:
            work.refuse("access_denied")
        else:
            del self._devices[work.presented or ""]
            return SimulatedGrant(account=asked.account, scopes=asked.scopes, key=work.key)
        return None
