"""Linear spin waves: second derivatives of any conservative calculator, magnon bands, and what neutrons see of them."""

from spinase.spinwaves.bands import (
    MagnonBands,
    connect_bands,
    magnon_bands,
    magnon_density_of_states,
    magnon_mesh,
    wavevectors_of,
)
from spinase.spinwaves.differences import difference_hessian
from spinase.spinwaves.hessian import BlochHessian, classical_hessian
from spinase.spinwaves.intensities import MagnonIntensities, magnon_intensities, powder_spectrum
from spinase.spinwaves.normal_modes import SpinWaves, spin_waves
from spinase.spinwaves.quantum import MagnonSpectrum, bose, rescaled
from spinase.spinwaves.states import Spiral

__all__ = [
    "BlochHessian",
    "MagnonBands",
    "MagnonIntensities",
    "MagnonSpectrum",
    "SpinWaves",
    "Spiral",
    "bose",
    "classical_hessian",
    "connect_bands",
    "difference_hessian",
    "magnon_bands",
    "magnon_density_of_states",
    "magnon_intensities",
    "magnon_mesh",
    "powder_spectrum",
    "rescaled",
    "spin_waves",
    "wavevectors_of",
]
