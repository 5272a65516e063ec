"""The telemetry that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_integrations.errors import ConfigurationError

from .settings import Configuration

if TYPE_CHECKING:
    from cloud_integrations.ports import Telemetry


def open_telemetry(configuration: Configuration, /) -> tuple[Telemetry, ...]:
    """Return what measures beside the command's own metrics.  Raises `ConfigurationError` where its extra is missing."""
    if configuration.telemetry is None:
        return ()
    try:
        from cloud_integrations import OpenTelemetry  # noqa: PLC0415  # an extra, loaded when it is named
    except ImportError:
        problem = "needs what is not installed: pip install 'cloud-integrations[otel]'"
        raise ConfigurationError(setting="telemetry", problem=problem) from None
    return (OpenTelemetry(),)
