"""Training on partial labels."""
