"""The object being prompted for: clicks, outlines, and windows encoded ahead of them."""
