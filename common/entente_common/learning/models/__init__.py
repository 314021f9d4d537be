"""Models a job may name: one file each, found by its kind and registered by a decorator.

Importing this package does not import torch; `registry.build_model` does.
"""
