"""The site agent: governs what may touch local data, and trains on it."""
