"""Generators to and from elsewhere."""
