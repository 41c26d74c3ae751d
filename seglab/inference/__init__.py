"""Whole scenes: windows, blending, maps."""
