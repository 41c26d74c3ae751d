"""Adapters, one file each, behind one protocol."""
