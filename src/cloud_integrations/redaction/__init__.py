"""Take keys and tokens out of text: for the logs of the application that uses this library.

`redact` takes them out of a text, `RedactingFilter` out of the records of `logging`, and `redact_event` out of the events of structlog.
"""

from __future__ import annotations

from .logs import RedactingFilter, redact_event
from .text import redact

__all__ = ["RedactingFilter", "redact", "redact_event"]
