"""The audit trail: appended with every change, signed, and open to proof."""
