"""Makes `tests/` importable, so that tests of different rooms share their fakes."""
