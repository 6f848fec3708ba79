"""What holds for every test: Hypothesis never fails for slowness, which on a shared machine says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("fedsql", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("fedsql")
