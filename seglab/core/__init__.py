"""Rasters, grids, windows, prompts, masks: no torch, no widgets."""
