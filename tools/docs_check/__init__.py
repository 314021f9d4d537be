"""Checks of the documents against the tree, the Makefile and the command line.

Each module holds one check: a function over the `Tree` (and what it is compared with) that yields
every `Fault` it finds. None of them prints, writes or stops at the first fault.
"""
