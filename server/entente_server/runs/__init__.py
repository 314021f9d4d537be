"""Runs: preflight, submission, state and events."""
