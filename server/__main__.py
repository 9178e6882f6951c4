"""`python -m server` runs the server."""

import os

# PostgreSQL is started by fork and exec; gRPC's own fork handlers only fill the log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from server.main import main

main()
