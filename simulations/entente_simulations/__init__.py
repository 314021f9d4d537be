"""Whole federations on one machine: the demo, and virtual sites."""
