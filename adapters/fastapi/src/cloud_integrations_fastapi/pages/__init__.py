"""Pages that a host mounts: a connect page for tenants, and a console for operators.  Needs the extra `pages`.

Pages are HTML from the server.  They need no script, load nothing from another host, and allow nothing inline (`Content-Security-Policy`).
"""

from .branding import Branding
from .connect import Names, create_connect_pages
from .console import create_console

__all__ = ["Branding", "Names", "create_connect_pages", "create_console"]
