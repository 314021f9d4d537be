"""Sums of model updates: tensors to integers, integers to packed slots, slots to ciphertexts."""
