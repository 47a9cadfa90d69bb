"""Chebyshev expansions of functions of a sparse operator: series, probing columns, compiled and torch recursions."""
