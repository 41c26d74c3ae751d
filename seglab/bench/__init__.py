"""Benchmarks and the demo: scripted annotators."""
