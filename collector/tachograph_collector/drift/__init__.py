"""Drift as a service: finished runs are read, watched, and what was found is kept."""
