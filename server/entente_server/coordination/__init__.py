"""Flower coordination: the embedded SuperLink, and the ServerApp that drives a run."""
