"""The hypothesis profile of a mutation run, loaded with `pytest -p` ahead of tests/conftest.py.

Few examples, always the same ones: a verdict must depend on the mutant alone, and thousands of
runs must end. A failure is not shrunk, because nobody reads it. No health check may fail either: a
slow machine would kill mutants, and mutmut runs a test class again in the process it ran in before.
"""

from hypothesis import HealthCheck, Phase, settings

NAME = "mutation"

settings.register_profile(
    NAME,
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
