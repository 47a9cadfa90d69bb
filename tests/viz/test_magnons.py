"""Drawings of magnon bands and spectra: what is drawn are the energies, at the places of the path."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.errors import ModelError
from spinase.spinwaves import classical_hessian, magnon_bands
from spinase.viz import draw_bands, draw_spectrum


def test_bands_and_maps_along_a_path() -> None:
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    path = atoms.cell.bandpath("GXMG", npoints=20, pbc=atoms.pbc)
    bands = magnon_bands(classical_hessian(atoms), path)
    ax = Figure().subplots()
    draw_bands(ax, bands, path, "meV", scale=1000.0, partners=True)
    curves = [np.asarray(line.get_ydata()) for line in ax.get_lines() if len(np.asarray(line.get_ydata())) == 20]
    np.testing.assert_allclose(curves[0], 1000 * bands.energies[:, 0])
    np.testing.assert_allclose(curves[1], -1000 * bands.energies[:, 0], atol=1e-6)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["Γ", "X", "M", "Γ"]
    frequencies = np.linspace(0.0, 1.0, 30)
    powers = np.outer(np.arange(20.0), frequencies)
    mesh = draw_spectrum(ax, frequencies, powers, path, "J", logarithmic=False)
    np.testing.assert_allclose(np.asarray(mesh.get_array()).T, powers)
    with pytest.raises(ModelError, match=r"powers of shape \(30, 20\)"):
        draw_spectrum(ax, frequencies, powers.T, path, "J")
    with pytest.raises(ModelError, match="20 wavevectors do not go with a path of 9"):
        draw_bands(ax, bands, atoms.cell.bandpath("GX", npoints=9, pbc=atoms.pbc), "J")
