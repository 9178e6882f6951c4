"""Options that several commands have, each with its environment variable and default."""

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[
    str, typer.Option(envvar="LOYALTY_TARGET", help="host:port of a server", show_default=True)
]
TARGET = "127.0.0.1:50051"

Files = Annotated[list[Path], typer.Argument(help="program files (TOML)", show_default=False)]
At = Annotated[str, typer.Option(help="from when it counts: RFC 3339, or now")]
By = Annotated[str, typer.Option(help="who publishes; default: you")]
Wait = Annotated[bool, typer.Option("--wait", help="until the server has it in force")]
ReplaceScheduled = Annotated[
    bool,
    typer.Option(
        "--replace-scheduled", help="what is scheduled for later, of any chain, never counts"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object, for scripts")]

Dsn = Annotated[
    str, typer.Option(envvar="LOYALTY_DSN", help="a real PostgreSQL; else the embedded one")
]
DataDir = Annotated[
    Path, typer.Option(envvar="LOYALTY_DATA_DIR", help="data of the embedded PostgreSQL")
]
DATA_DIR = Path("var/postgres")
ClockFile = Annotated[
    str, typer.Option(envvar="LOYALTY_CLOCK_FILE", help="shifts the clock, as a server's")
]
