"""What a federated strategy changes in the local steps: one file each, found by its name."""
