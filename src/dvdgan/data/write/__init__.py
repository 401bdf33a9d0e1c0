"""Clips and sheets out."""
