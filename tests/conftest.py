"""How hard the property tests look, by LOYALTY_HYPOTHESIS; and which tests begin first."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Tests start PostgreSQL as another user, which forks; gRPC's own handlers of a fork can crash the
# child between fork and exec, and nothing here speaks gRPC in a fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Servers are killed in tests; what gRPC writes of it would stand between the dots.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

pytest_plugins = ("tests.pg", "tests.world", "tests.refunding", "tests.forwarding")

# How long drawing takes is the machine's affair: under load no test may fail of it.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", patient, max_examples=50)
# The gate must give one verdict on one tree, so its examples do not vary.
settings.register_profile("check", patient, max_examples=300, derandomize=True)
# The engine's properties at this number take about an hour on two cores; what costs too much for it
# and is none of them has a lower one of its own (tests/examples.py).
settings.register_profile("long", patient, max_examples=20_000)
settings.load_profile(os.environ.get("LOYALTY_HYPOTHESIS", "check"))

BEGIN_FIRST = ("test_hot_statements.py",)
"""Long tests that are alone in their file: at the end one process would wait for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files are dealt out to processes in this order."""
    items.sort(key=lambda item: item.path.name not in BEGIN_FIRST)
