"""Dense diagonalization with k-point sampling: the exact reference of every other solver.

Three forms of one problem, chosen by the spins:

* collinear spins: two blocks of N orbitals, one for each spin;
* coplanar spins with real hopping: the spins are turned into the xz plane, where H is real, 2N orbitals;
* otherwise, and with spin-orbit hopping (which has no frame of spins of its own): complex, 2N orbitals.

Eigenvectors are only ever contracted to the density, never differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch

from spinase.electrons.kmesh import KMesh, as_mesh
from spinase.electrons.occupation import RESOLUTION, SINGLE_RESOLUTION, Filled, Occupation
from spinase.electrons.operator import Density, ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.sparse.pattern_density import block_density, scalar_density, spinor_density
from spinase.electrons.symmetry import LatticeOperations, MagneticOperations, magnetic_operations, reduced_mesh
from spinase.errors import ModelError
from spinase.typing import Array, ComplexArray, FloatArray, IntArray

Precision = Literal["complex128", "complex64"]

_FLAT = 1e-13  # out-of-plane part of the spins, relative, below which a texture counts as coplanar (round-off)
_BATCH_BYTES = 8 * 1024**2  # small matrices are diagonalized together in batches of this size
_KEEP_BYTES = 2 * 1024**3  # eigenvectors of all k-points are kept up to this; above, they are computed twice


@dataclass(frozen=True, eq=False)
class _Frame:
    """Rotation (rows: new axes) that brings the exchange vectors into their smallest form."""

    axes: FloatArray
    rank: int


@dataclass(frozen=True, eq=False)
class _Batch:
    """k-points that are solved together: Bloch phases of the bonds (n_k, n_bonds) and weights (n_k,)."""

    phases: ComplexArray
    weights: FloatArray


_ERRORS = {"complex128": 1e-9, "complex64": 2e-5}  # of densities: round-off of levels over kT, for kT of hundredths of t


@final
class DenseSolver(Solver[ElectronState]):
    """Exact diagonalization (``torch.linalg.eigh``), on a mesh of k-points including Gamma.

    Parameters
    ----------
    occupation : Occupation
        Filling or chemical potential, and temperature.
    kpts : (int, int, int) or KMesh
        Mesh of k-points along the cell vectors, k = n/kpts: the same states as a cell repeated `kpts` times whose
        spins repeat too.  A :class:`~spinase.electrons.kmesh.KMesh` may be shifted, or a list of points.
    dtype : str
        ``"complex128"``, or ``"complex64"``: twice as fast at about 1e-6 accuracy.  At kT = 0 levels within 1e-10 (single:
        1e-5) of the largest |level| of the Fermi level count as degenerate with it and are filled evenly.

    Raises
    ------
    ModelError
        On a wrong mesh or dtype.
    """

    abilities = frozenset({"filling", "zero_temperature", "flux", "spin_orbit"})

    def __init__(
        self, occupation: Occupation, kpts: tuple[int, int, int] | KMesh = (1, 1, 1), dtype: Precision = "complex128"
    ) -> None:
        if dtype not in ("complex128", "complex64"):
            raise ModelError(f"dtype must be 'complex128' or 'complex64', got {dtype!r}")
        self.occupation = occupation
        self.mesh = as_mesh(kpts)
        self.dtype = dtype

    def plan(self, pattern: SparsityPattern) -> DensePlan:
        """A plan for operators of `pattern`; it keeps nothing but the pattern."""
        return DensePlan(self, pattern)

    def density_error(self, operator: SpinOperator) -> float:
        """Round-off."""
        return _ERRORS[self.dtype]


@final
class DensePlan(Plan[ElectronState]):
    """Exact diagonalization of operators of one pattern."""

    turns_spins = True

    def __init__(self, solver: DenseSolver, pattern: SparsityPattern, operations: LatticeOperations | None = None) -> None:
        super().__init__(pattern)
        self.solver = solver
        self._operations = operations
        self._found: dict[bytes, IntArray | None] = {}
        self.mesh, self.dtype = solver.mesh, solver.dtype
        self._mirror = self.mesh.images(-np.eye(3))  # None where -k is no point

    def follow(self, pattern: SparsityPattern) -> DensePlan:
        """A plan for `pattern`."""
        return self.solver.plan(pattern)

    def with_operations(self, operations: LatticeOperations) -> DensePlan:
        """A plan that solves one k-point of every orbit under those of the operations that the magnet has.

        Parameters
        ----------
        operations : LatticeOperations
            Of the lattice.
        """
        return DensePlan(self.solver, self.pattern, operations)

    def sampled(self, operator: SpinOperator) -> tuple[KMesh, MagneticOperations | None]:
        """The k-points that are solved, and the operations that make the others.

        k and -k are conjugate where hopping is real and the spins are collinear or coplanar; one of both is solved then,
        with or without operations of the lattice.

        Parameters
        ----------
        operator : SpinOperator
            H, energy.
        """
        if self._operations is not None and operator.spin_hopping is None:  # spins do not turn by themselves on its bonds
            return reduced_mesh(self.mesh, magnetic_operations(operator, self._operations), self._images)
        conjugate = operator.is_real and _spin_frame(operator).rank < 3
        return (self.mesh.reduced([self._mirror]) if conjugate and self._mirror is not None else self.mesh), None

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        """Diagonalize, fill, and contract to the density on the operator's pattern."""
        frame = _spin_frame(operator)
        mesh, operations = self.sampled(operator)
        batches = self._batches(operator, mesh)
        keep = sum(len(batch.weights) for batch in batches) * self._bytes(operator) <= _KEEP_BYTES
        solved = [_eigh(self._matrices(operator, frame, batch), vectors=keep) for batch in batches]
        levels = np.concatenate([values.ravel() for values, _ in solved])
        weights = np.concatenate(
            [np.broadcast_to(b.weights[:, None, None], v.shape).ravel() for b, (v, _) in zip(batches, solved, strict=True)]
        )
        resolution = RESOLUTION if self.dtype == "complex128" else SINGLE_RESOLUTION
        filled = self.solver.occupation.fill(levels, weights, 2.0 * len(operator), resolution)
        density = self._density(operator, frame, batches, solved, filled, bonds)
        if operations is not None:
            density = operations.symmetrized(density)
        return ElectronState(
            energy=filled.energy,
            free_energy=filled.free_energy,
            entropy=filled.entropy,
            chemical_potential=filled.chemical_potential,
            electrons=filled.electrons,
            density=density,
            levels=levels,
            weights=weights,
        )

    def _images(self, map_: FloatArray) -> IntArray | None:
        """Where a map brings the points of the mesh, found once."""
        key = np.round(map_).astype(np.int8).tobytes()
        if key not in self._found:
            self._found[key] = self.mesh.images(map_)
        return self._found[key]

    def _bytes(self, operator: SpinOperator) -> int:
        """Upper bound of the memory of one k-point's matrix."""
        return (2 * len(operator)) ** 2 * np.dtype(self.dtype).itemsize

    def _batches(self, operator: SpinOperator, mesh: KMesh) -> list[_Batch]:
        """The points in batches."""
        size = max(1, _BATCH_BYTES // self._bytes(operator))
        cuts = range(0, len(mesh), size)
        return [
            _Batch(np.exp(2j * np.pi * (mesh.points[k : k + size] @ operator.bonds.shifts.T)), mesh.weights[k : k + size])
            for k in cuts
        ]

    def _matrices(self, operator: SpinOperator, frame: _Frame, batch: _Batch) -> Array:
        """Matrices (n_k, n_blocks, n, n) in the smallest form."""
        real = operator.is_real and frame.rank < 3 and bool(np.all(np.abs(batch.phases.imag) < 1e-12))
        phases = batch.phases.real if real else batch.phases
        double = self.dtype == "complex128"
        kind = (np.float64 if double else np.float32) if real else (np.complex128 if double else np.complex64)
        vectors = operator.exchange @ frame.axes.T
        build = _collinear_matrices if frame.rank == 1 else _spinor_matrices
        return build(operator, phases, vectors, np.dtype(kind))

    def _density(
        self,
        operator: SpinOperator,
        frame: _Frame,
        batches: list[_Batch],
        solved: list[tuple[FloatArray, Array | None]],
        filled: Filled,
        bonds: bool,
    ) -> Density:
        first = operator.bonds.first if bonds else operator.bonds.first[:0]
        second = operator.bonds.second if bonds else operator.bonds.second[:0]
        sites = np.zeros((len(operator), 4))
        bond = np.zeros(len(first), dtype=np.complex128)
        bond_spin = None if operator.spin_hopping is None else np.zeros((len(first), 3), dtype=np.complex128)
        start = 0
        for batch, (values, stored) in zip(batches, solved, strict=True):
            vectors = _eigh(self._matrices(operator, frame, batch), vectors=True)[1] if stored is None else stored
            assert vectors is not None
            share = filled.occupations[start : start + values.size].reshape(values.shape) * batch.weights[:, None, None]
            start += values.size
            phases = batch.phases[:, : len(first)].conj()
            if bond_spin is None:
                part_sites, part_bond = _contract_vectors(vectors, share, phases, first, second)
            else:
                part_sites, part_bond, part_spin = block_density(vectors[:, 0], share[:, 0], phases, first, second)
                bond_spin += part_spin
            sites += part_sites
            bond += part_bond
        if operator.is_real and frame.rank < 3 and self._mirror is not None:
            # the other half of the mesh is the complex conjugate: imaginary parts and sigma_y cancel
            bond = bond.real.astype(np.complex128)
            sites[:, 2] = 0.0
        return Density(charge=sites[:, 0].copy(), spin=sites[:, 1:] @ frame.axes, bond=bond, bond_spin=bond_spin)


def bloch_states(operator: SpinOperator, points: FloatArray) -> tuple[FloatArray, ComplexArray]:
    """All eigenstates of an operator at k-points, none left out by symmetry.

    Parameters
    ----------
    operator : SpinOperator
        H, energy.
    points : (n_k, 3)
        k in units of the reciprocal cell vectors, such as those of a :class:`~spinase.electrons.kmesh.KMesh`.

    Returns
    -------
    levels : (n_k, 2N)
        Energy, ascending at each k.
    vectors : (n_k, 2N, N, 2)
        Periodic parts u of the states, one a row, as spinors of the sites; at cell S of the crystal exp(2 pi i k.S) u.
    """
    phases = np.exp(2j * np.pi * (points @ operator.bonds.shifts.T))
    matrices = _spinor_matrices(operator, phases, operator.exchange, np.dtype(np.complex128))
    levels, vectors = _eigh(matrices, vectors=True)
    assert vectors is not None
    states = vectors[:, 0].reshape(len(points), 2 * len(operator), len(operator), 2)
    return levels[:, 0], states.astype(np.complex128, copy=False)


def _spin_frame(operator: SpinOperator) -> _Frame:
    """Axes in which the exchange vectors lie along z (rank 1) or in the xz plane (rank 2)."""
    if operator.spin_hopping is not None:
        return _Frame(np.eye(3), 3)
    vectors = operator.exchange
    _, spread, axes = np.linalg.svd(vectors.T @ vectors)
    spread = np.sqrt(spread)
    scale = spread[0] if spread[0] > 0.0 else 1.0
    # the Gram matrix squares round-off: decide on the vectors themselves
    out_of_line = np.abs(vectors @ axes[1:].T).max(initial=0.0)
    out_of_plane = np.abs(vectors @ axes[2]).max(initial=0.0)
    if out_of_line <= _FLAT * scale:
        return _Frame(np.array([axes[1], np.cross(axes[0], axes[1]), axes[0]]), 1)
    if out_of_plane <= _FLAT * scale and operator.is_real:
        return _Frame(np.array([axes[1], np.cross(axes[0], axes[1]), axes[0]]), 2)
    return _Frame(np.eye(3), 3)


def _add_bonds(matrices: Array, rows: IntArray, columns: IntArray, hopping: Array) -> None:
    """Add hopping (n_k, n_bonds) and its conjugate to matrices (n_k, n, n); parallel bonds (images) add up."""
    points = np.arange(len(hopping))[:, None]
    np.add.at(matrices, (points, rows, columns), hopping)
    np.add.at(matrices, (points, columns, rows), np.conj(hopping))


def _collinear_matrices(operator: SpinOperator, phases: Array, exchange: FloatArray, kind: np.dtype[np.generic]) -> Array:
    """The two blocks hopping + onsite +- exchange_z, (n_k, 2, N, N)."""
    sites, hopping = np.arange(len(operator)), operator.hopping * phases
    matrices = np.zeros((len(hopping), 2, len(sites), len(sites)), dtype=kind)
    _add_bonds(matrices[:, 0], operator.bonds.first, operator.bonds.second, hopping)
    matrices[:, 1] = matrices[:, 0]
    matrices[:, 0, sites, sites] += operator.onsite + exchange[:, 2]
    matrices[:, 1, sites, sites] += operator.onsite - exchange[:, 2]
    return matrices


def _spinor_matrices(operator: SpinOperator, phases: Array, exchange: FloatArray, kind: np.dtype[np.generic]) -> Array:
    """hopping x 1 + spin hopping . sigma + onsite + exchange . sigma, (n_k, 1, 2N, 2N)."""
    up = 2 * np.arange(len(operator))
    matrices = np.zeros((len(phases), 1, 2 * len(up), 2 * len(up)), dtype=kind)
    entries, first, second = operator.bond_entries(), 2 * operator.bonds.first, 2 * operator.bonds.second
    for one in (0, 1):
        for two in (0, 1) if entries.ndim == 3 else (one,):
            hopping = phases * (entries if entries.ndim == 1 else entries[:, one, two])
            _add_bonds(matrices[:, 0], first + one, second + two, hopping)
    matrices[:, 0, up, up] += operator.onsite + exchange[:, 2]
    matrices[:, 0, up + 1, up + 1] += operator.onsite - exchange[:, 2]
    flip = exchange[:, 0] - 1j * exchange[:, 1] if kind.kind == "c" else exchange[:, 0]
    matrices[:, 0, up, up + 1] += flip
    matrices[:, 0, up + 1, up] += np.conj(flip)
    return matrices


def _eigh(matrices: Array, vectors: bool) -> tuple[FloatArray, Array | None]:
    """Levels (n_k, n_blocks, n) and eigenvectors as rows (n_k, n_blocks, n, n), or None."""
    tensor = torch.from_numpy(matrices)
    if not vectors:
        return torch.linalg.eigvalsh(tensor).numpy().astype(np.float64), None
    values, columns = torch.linalg.eigh(tensor)
    return values.numpy().astype(np.float64), columns.mT.contiguous().numpy()


def _contract_vectors(
    vectors: Array,
    occupations: FloatArray,
    phases: ComplexArray,
    first: IntArray,
    second: IntArray,
) -> tuple[FloatArray, ComplexArray]:
    """(Tr rho_ii, Tr[sigma rho_ii]) (N, 4) and bond density of the filled vectors, in the solver's spin frame."""
    if vectors.shape[1] == 1:
        return spinor_density(vectors[:, 0], occupations[:, 0], phases, first, second)
    (up, bond_up), (down, bond_down) = (
        scalar_density(vectors[:, spin], occupations[:, spin], phases, first, second) for spin in (0, 1)
    )
    zero = np.zeros_like(up)
    return np.stack([up + down, zero, zero, up - down], axis=1), bond_up + bond_down
