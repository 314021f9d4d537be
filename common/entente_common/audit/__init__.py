"""The audit trail that can be proven: tree, proofs, signed checkpoints, entries, export bundle."""
