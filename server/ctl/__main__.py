"""The entry of loyaltyctl: all commands, and how errors leave."""

import os
import sys

import typer

from server.ctl import (
    customer,
    forward,
    importing,
    ledger,
    messages,
    program,
    quarantine,
    schema,
)
from server.ctl.doctor import doctor
from server.ctl.say import CtlError, say_error

app = typer.Typer(
    name="loyaltyctl",
    help="Publish programs, import data, prove the ledger. Errors of yours end with exit code 2.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(program.app, name="program")
app.add_typer(importing.app, name="import")
app.add_typer(ledger.app, name="ledger")
app.add_typer(customer.app, name="customer")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(forward.app, name="forward")
app.add_typer(messages.app, name="messages")
app.add_typer(schema.app, name="db")
app.command()(doctor)


def main() -> None:
    """Run a command; an error of the operator's is said in a line, without a traceback."""
    # gRPC's own log would stand between the operator and the one clear line.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except CtlError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:
        # What a shell passes on byte by byte, Python holds as halves of characters.
        say_error(CtlError(f"a word of the command is not UTF-8: {error.object!a}"))
        sys.exit(2)


if __name__ == "__main__":
    main()
