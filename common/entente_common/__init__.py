"""Values and rules shared by every part of Entente.

Nothing here imports torch, flwr, tenseal, fastapi or sqlmodel at import time.
"""

__version__ = "0.1.0"
