"""How every test runs."""

from __future__ import annotations

from hypothesis import settings

# A test that is slow because two cores are busy is not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
