"""Several people, one scene: whose label is whose, where they agree, and what is done where they do not."""
