"""Measures of speed: see README.md here."""
