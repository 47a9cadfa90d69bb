"""Conductivities and local densities of states of s-d electrons on a magnet."""

from __future__ import annotations

from collections.abc import Callable

from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import geometry_of, get_spins
from spinase.electrons.kmesh import KMesh
from spinase.electrons.model import SDModel
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.chebyshev import chebyshev_conductivity
from spinase.electrons.response.conductivity import Conductivity
from spinase.electrons.response.dense import dense_conductivity
from spinase.electrons.response.dense import local_density_of_states as _local_density
from spinase.geometry import Geometry
from spinase.typing import FloatArray


def exact_conductivity(
    atoms: Atoms,
    model: SDModel,
    kpts: tuple[int, int, int] | KMesh = (1, 1, 1),
    *,
    width: float,
    progress: Callable[[int, int], None] | None = None,
) -> Conductivity:
    """Conductivity and Hall conductivity by exact diagonalization (Kubo formula), for all chemical potentials at once.

    Parameters
    ----------
    atoms : Atoms
        Magnet with one periodic direction or more; up to about 500 sites.
    model : SDModel
        Hopping and coupling; its filling and temperature do not matter here.
    kpts : (int, int, int) or KMesh
        Mesh of k-points along the cell vectors, Gamma included.  Metals need a spacing of levels below `width`.
    width : float
        Of the levels, energy: stands for scattering that the model does not have.
    progress : callable, optional
        Told how many k-points of how many are done.

    Returns
    -------
    Conductivity
        ``.tensor(chemical_potentials, kT)`` is (m, 3, 3) in e^2/h length^(2 - d), d periodic directions.

    Raises
    ------
    ModelError
        For a width that is not positive, a mesh along a direction that is not periodic, or no periodic direction.
    """
    operator, geometry = _operator(atoms, model)
    return dense_conductivity(operator, geometry, kpts, width, progress)


def kpm_conductivity(
    atoms: Atoms,
    model: SDModel,
    moments: int = 256,
    vectors: int | None = 8,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Conductivity:
    """Conductivity and Hall conductivity by Chebyshev expansion (Kubo-Bastin formula), for large magnets.

    Cost: vectors x moments^2 x sites.  Products of two states that are both filled cancel in every random vector, which
    leaves a hundredth of the noise of the plain estimate of a Hall conductivity.

    Parameters
    ----------
    atoms : Atoms
        Magnet with one periodic direction or more; taken at the Gamma point, as large magnets are.
    model : SDModel
        Hopping and coupling; its filling and temperature do not matter here.
    moments : int
        Chebyshev polynomials: energies are resolved to ``.resolution`` = pi half/moments; a gap needs several of these.
    vectors : int or None
        Random vectors: errors fall as 1/sqrt(vectors x sites), ``.errors(...)`` tells them.  None: exact trace, 2N vectors.
    seed : int
        Of the random vectors.
    progress : callable, optional
        Told how many vectors of how many are done.

    Returns
    -------
    Conductivity
        ``.tensor(chemical_potentials, kT)`` is (m, 3, 3) in e^2/h length^(2 - d), d periodic directions.

    Raises
    ------
    ModelError
        For fewer than two moments, no vectors, or no periodic direction.
    """
    operator, geometry = _operator(atoms, model)
    return chebyshev_conductivity(operator, geometry, moments, vectors, seed, progress)


def local_density_of_states(
    atoms: Atoms, model: SDModel, energies: ArrayLike, kpts: tuple[int, int, int] | KMesh = (1, 1, 1), *, width: float
) -> FloatArray:
    """Local density of states (N, m) of every site, both spins, states per energy, by exact diagonalization.

    Its sum over sites is ``EDCalculator.density_of_states``; one site of a large magnet:
    ``KPMCalculator.local_spectral_function``.

    Parameters
    ----------
    atoms : Atoms
        Magnet.
    model : SDModel
        Hopping and coupling; its filling and temperature do not matter here.
    energies : (m,) array_like
        Where, energy.
    kpts : (int, int, int) or KMesh
        Mesh of k-points along the cell vectors, Gamma included.
    width : float
        Standard deviation of the Gaussians that levels become, energy.

    Raises
    ------
    ModelError
        For a width that is not positive, or a mesh along a direction that is not periodic.
    """
    geometry = geometry_of(atoms)
    frozen = model.hamiltonian.freeze(geometry)
    return frozen.gather(_local_density(frozen.operator(get_spins(atoms)), geometry, energies, kpts, width))


def _operator(atoms: Atoms, model: SDModel) -> tuple[SpinOperator, Geometry]:
    geometry = geometry_of(atoms)
    return model.hamiltonian.freeze(geometry).operator(get_spins(atoms)), geometry
