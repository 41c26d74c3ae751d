"""Where to label next."""
