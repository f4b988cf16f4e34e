"""Measurements of the whole product against physical limits, each beside its target. `make bench`, or one by name."""
