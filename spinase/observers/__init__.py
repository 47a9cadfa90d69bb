"""Observers: what looks at a magnet during a run and returns named numbers."""
