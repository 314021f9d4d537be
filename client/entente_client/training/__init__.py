"""Training on one site's rows: encoding, standardisation, the local loop, differential privacy.

Importing this package imports neither torch nor Opacus; `trainer` and its helpers do.
"""
