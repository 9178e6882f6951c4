"""How hard the property tests look: one profile a purpose, chosen by LOYALTY_HYPOTHESIS."""

import os

from hypothesis import settings

# Tests start PostgreSQL as another user, which forks; gRPC's own handlers of a fork can crash the
# child between fork and exec, and nothing here speaks gRPC in a fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Servers are killed in tests; what gRPC writes of it would stand between the dots.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

pytest_plugins = ("tests.pg", "tests.world", "tests.refunding", "tests.forwarding")

settings.register_profile("dev", max_examples=50, deadline=None)
# The gate must give one verdict on one tree, so its examples do not vary.
settings.register_profile("check", max_examples=300, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=20_000, deadline=None)
settings.load_profile(os.environ.get("LOYALTY_HYPOTHESIS", "check"))
