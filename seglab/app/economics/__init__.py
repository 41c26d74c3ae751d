"""What labelling costs a person, what it has brought, and whether more is worth it."""
