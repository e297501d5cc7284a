"""Posts to embeddings, once: frozen encoders, and the cache their vectors are kept in."""
