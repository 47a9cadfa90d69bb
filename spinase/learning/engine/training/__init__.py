"""Compiled training: the slopes of a loss by the weights, in two passes over a configuration."""
