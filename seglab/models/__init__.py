"""Networks: SAM, adapters, checkpoints."""
