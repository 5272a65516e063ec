"""Other processes: an environment whose HTTP requests get the credentials of a session, which the process never sees.

`environment` is what a host calls, `server` the proxy behind it, `exchange` one request, `masking` its answer, `wire` HTTP between a child
and the proxy, and `authority` the certificates.
"""

from .environment import injecting_environment

__all__ = ["injecting_environment"]
