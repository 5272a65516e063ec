"""What a store promises about renewing credentials: leases, renewals and due times."""

from __future__ import annotations

from .due import DueContract
from .leases import LeasesContract
from .renewals import RenewalsContract


class RefreshContract(LeasesContract, RenewalsContract, DueContract):
    """Leases, renewals and due times."""
