"""Compiled loops for networks on lattices: sites side by side in vectors, derivatives by hand."""
