"""Input files of small runs, in parts: tests write the stages and the output that they are about."""

from __future__ import annotations

NOISY = """timestep = 0.1
damping = 0.1
kT = 0.2
"""
"""Keys of a stage of spin dynamics in a bath."""


def square_magnet(rows: int, columns: int) -> str:
    """The tables [atoms] and [calculator] of a ferromagnet on a square lattice, J = 1 between nearest neighbours."""
    atoms = f'[atoms]\nlattice = "square"\nsize = [{rows}, {columns}]\n'
    return f'{atoms}[calculator]\nstyle = "heisenberg"\nshells = [1.0]\n'


def square_run(rows: int, columns: int, tables: str) -> str:
    """An input file: :func:`square_magnet` in reduced units with seed 3, then `tables` (stages, observers, output)."""
    return f'units = "reduced"\nseed = 3\n{square_magnet(rows, columns)}{tables}'
