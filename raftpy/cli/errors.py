"""The failures a command reports."""

from __future__ import annotations

import os

import click


class CommandFailed(click.ClickException):
    """Printed as one line after the command's name; exit status 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.ctx = click.get_current_context(silent=True)


def reason(error: OSError) -> str:
    """What the system says, without number and file name: ``connection refused``."""
    text = os.strerror(error.errno) if error.errno is not None else str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
