"""Clusters: what a scene is made of before anything in it has a name."""
