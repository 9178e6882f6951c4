"""Options that several commands have, each with its environment variable and default."""

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[
    str, typer.Option(envvar="LOYALTY_TARGET", help="host:port of a server", show_default=True)
]
TARGET = "127.0.0.1:50051"

Dsn = Annotated[
    str, typer.Option(envvar="LOYALTY_DSN", help="a real PostgreSQL; else the embedded one")
]
DataDir = Annotated[
    Path, typer.Option(envvar="LOYALTY_DATA_DIR", help="data of the embedded PostgreSQL")
]
DATA_DIR = Path("var/postgres")
