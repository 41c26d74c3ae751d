"""Tests in a real browser. A package, so that they share a browser that is closed before other tests begin."""
