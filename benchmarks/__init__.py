"""Measurements, each run as a module from the root of the repository: `python -m benchmarks.<room>.<name>`."""
