"""Tiles over loopback."""
