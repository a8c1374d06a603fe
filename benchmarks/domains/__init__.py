"""Domains that no pair ships for: default training from nothing, then the comparison with image formats."""
