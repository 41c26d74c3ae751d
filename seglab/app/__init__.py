"""The product without a browser: sessions, rounds, maps."""
