"""The model of a project: what it learns from, how it is trained, kept and taught on."""
