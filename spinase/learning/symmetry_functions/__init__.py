"""Spin-extended symmetry functions for magnets with disordered positions."""
