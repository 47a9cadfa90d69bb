"""Lattice descriptors: numbers of a clean lattice's sites that its symmetry leaves alone, and networks on them."""
