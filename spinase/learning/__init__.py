"""Learned magnets: networks, what their outputs mean, who computes them, and how far they are to be trusted."""
