"""Where the script `cloud-integrations` and `python -m cloud_integrations_cli` begin."""

from __future__ import annotations

from cloud_integrations_cli.app import app


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    app(prog_name="cloud-integrations")


if __name__ == "__main__":
    main()
