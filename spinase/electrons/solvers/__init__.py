"""Solvers: what electrons do on a given operator (density, energies), each in its own way."""
