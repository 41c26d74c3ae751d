"""From windows to embeddings, through the caches."""
