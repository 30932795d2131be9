"""The failures a command reports."""

from __future__ import annotations

import os

import click


class CommandFailed(click.ClickException):
    """Printed as one line after the command's name; exit status 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.ctx = click.get_current_context(silent=True)


class Refused(CommandFailed):
    """The same for what cannot be done at all with what was named; exit status 2."""

    exit_code = 2


def reason(error: OSError) -> str:
    """What the system says, without number and file name: ``connection refused``; of TLS what is wrong with it."""
    tls = getattr(error, "verify_message", None) or getattr(error, "reason", None)  # of ssl.SSLError
    if tls is not None:
        return f"TLS: {tls}"
    text = os.strerror(error.errno) if error.errno is not None else str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def help_without_command(ctx: click.Context) -> None:
    """Called by a group: without a subcommand it shows its help, on stderr, as wrong usage."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
