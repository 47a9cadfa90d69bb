"""Sparse direct methods: elimination trees, selected inversion, rational approximations of the Fermi function."""
