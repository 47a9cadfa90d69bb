"""Readers of tight-binding models: files and objects of Wannier90, PythTB, sisl and TB2J against the matrices they hold.

PythTB (1.8.0), sisl (0.20.0) and TB2J (0.9.22) are compared with where they are installed (pip install pythtb sisl TB2J);
what their objects look like is here, so that the readers are tested without them.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from spinase.analysis import exact_conductivity
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import OrbitalModel, OrbitalTable
from spinase.electrons.kmesh import KMesh
from spinase.electrons.solvers.dense import bloch_states
from spinase.errors import ModelError
from spinase.io.tight_binding import magnet_of, read_mytb, read_pythtb, read_sisl, read_wannier90
from spinase.io.tight_binding.wannier90 import nearest_sites
from spinase.spin_algebra import PAULI

MESH = (3, 2, 1)
STRUCTURE = Atoms("FePt", positions=[[0.0, 0, 0], [1.0, 1.0, 0]], cell=[2.0, 2.0, 9.0], pbc=True)


def matrices(orbitals: int = 2, spinful: bool = True) -> dict[tuple[int, int, int], np.ndarray]:
    """Random hermitian H(R) on a plane."""
    rng, size = np.random.default_rng(5), 2 * orbitals if spinful else orbitals
    found = {}
    for cell in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, -1, 0)):
        matrix = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
        found[cell] = 0.5 * (matrix + matrix.conj().T) if cell == (0, 0, 0) else matrix
        found[tuple(-x for x in cell)] = found[cell].conj().T
    return found


def bands(given: dict[tuple[int, int, int], np.ndarray]) -> np.ndarray:
    """Eigenvalues of sum_R H(R) exp(2 pi i k.R) on the mesh, ascending at each k."""
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in MESH), indexing="ij"), axis=-1).reshape(-1, 3)
    return np.array(
        [np.linalg.eigvalsh(sum(h * np.exp(2j * np.pi * np.dot(k, r)) for r, h in given.items())) for k in points]
    )


def levels(table: OrbitalTable) -> np.ndarray:
    """Those of the table, without coupling to spins."""
    atoms = magnet_of(table, "Fe")
    frozen = OrbitalModel(table, 0.0, filling=0.5).hamiltonian.freeze(geometry_of(atoms))
    return bloch_states(frozen.operator(get_spins(atoms)), KMesh.regular(MESH).points)[0]


def write_hr(path: Path, given: dict[tuple[int, int, int], np.ndarray], degeneracy: int = 1) -> Path:
    """As Wannier90 does: 15 degeneracies a line, columns of 5 and 12 characters."""
    size = len(given[0, 0, 0])
    counts = [str(degeneracy).rjust(5)] * len(given)
    lines = ["written on 29Nov2026 at 21:00:00", f"{size:12d}", f"{len(given):12d}"]
    lines += ["".join(counts[n : n + 15]) for n in range(0, len(counts), 15)]
    for cell, matrix in given.items():
        for n in range(size):
            for m in range(size):
                value = degeneracy * matrix[m, n]
                lines.append("".join(f"{x:5d}" for x in (*cell, m + 1, n + 1)) + f"{value.real:16.10f}{value.imag:16.10f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("degeneracy", [1, 2])
def test_wannier_functions_without_spin(tmp_path: Path, degeneracy: int) -> None:
    given = matrices(spinful=False)
    table = read_wannier90(write_hr(tmp_path / "x_hr.dat", given, degeneracy), STRUCTURE, [0, 1])
    np.testing.assert_allclose(levels(table), np.repeat(bands(given), 2, axis=1), atol=1e-8)
    assert not table.turns_spins
    assert table.pbc.tolist() == [True, True, False]


def test_spinors_in_both_orders(tmp_path: Path) -> None:
    """The same Hamiltonian, its functions listed in pairs or all up first; sites from the centres, in any image."""
    given, blocks = matrices(), [0, 2, 1, 3]
    paired = read_wannier90(write_hr(tmp_path / "a_hr.dat", given), STRUCTURE, [0, 1], spins="interleaved")
    centres = tmp_path / "x_centres.xyz"
    places = [[0.1, 0, 0], [3.1, 1, 0], [0, 0, 0], [3, 1, 0]]
    centres.write_text("6\ncentres\n" + "".join(f"X {x} {y} {z}\n" for x, y, z in places) + "Fe 0 0 0\nPt 1 1 0\n")
    turned = {cell: matrix[np.ix_(blocks, blocks)] for cell, matrix in given.items()}
    other = read_wannier90(write_hr(tmp_path / "b_hr.dat", turned), STRUCTURE, spins="blocks", centres=centres)
    for table in (paired, other):
        np.testing.assert_allclose(levels(table), bands(given), atol=1e-8)
        assert table.sites.tolist() == [0, 1]
    np.testing.assert_allclose(other.blocks, paired.blocks, atol=1e-12)
    np.testing.assert_allclose(other.places[1], [3.05, 1, 0])


def test_wannier_files_that_are_none(tmp_path: Path) -> None:
    path = write_hr(tmp_path / "x_hr.dat", matrices(1, False))
    with pytest.raises(ModelError, match="on which site each orbital is"):
        read_wannier90(path, STRUCTURE)
    with pytest.raises(ModelError, match="has 1 orbitals, and sites names 2"):
        read_wannier90(path, STRUCTURE, [0, 1])
    with pytest.raises(ModelError, match="has 1 functions, and spinors come in pairs"):
        read_wannier90(path, STRUCTURE, [0], spins="blocks")
    (tmp_path / "c.xyz").write_text("0\n\n")
    with pytest.raises(ModelError, match="has 0 centres, the hopping is of 1 orbitals"):
        read_wannier90(path, STRUCTURE, centres=tmp_path / "c.xyz")
    lines = path.read_text().splitlines()
    (tmp_path / "short_hr.dat").write_text("\n".join(lines[:-1]))
    with pytest.raises(ModelError, match="no complete _hr.dat file of Wannier90"):
        read_wannier90(tmp_path / "short_hr.dat", STRUCTURE, [0])
    (tmp_path / "mixed_hr.dat").write_text("\n".join([*lines[:-1], lines[-1].replace("    1    1  ", "    1    2  ")]))
    with pytest.raises(ModelError, match="or a function is none of the 1"):
        read_wannier90(tmp_path / "mixed_hr.dat", STRUCTURE, [0])


def haldane(spin: int = 1) -> SimpleNamespace:
    """What a tb_model of PythTB 1.8.0 holds: Haldane's, or with two spins Kane and Mele's with Rashba hopping."""
    second = 0.15j * (PAULI[2] if spin == 2 else 1.0)
    one = np.eye(2) if spin == 2 else 1.0
    turn = 0.05j * (PAULI[0] + 0.3 * PAULI[1]) if spin == 2 else 0.0
    hoppings = [[-one + turn, 0, 1, np.array(r)] for r in ((0, 0), (-1, 0), (0, -1))]
    hoppings += [[second * s, i, i, np.array(r)] for i, s in ((0, 1.0), (1, -1.0)) for r in ((1, 0), (-1, 1), (0, -1))]
    return SimpleNamespace(
        _lat=np.array([[1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]]),
        _orb=np.array([[1.0 / 3.0, 1.0 / 3.0], [2.0 / 3.0, 2.0 / 3.0]]),
        _per=[0, 1],
        _nspin=spin,
        _site_energies=np.array([0.2 * one, -0.2 * one]),
        _hoppings=hoppings,
    )


def test_models_of_pythtb() -> None:
    """Haldane's model has one quantum of Hall conductivity a spin in its gap; spins of Kane and Mele's cancel."""
    for spin, hall in ((1, 2.0), (2, 0.0)):
        table = read_pythtb(haldane(spin))
        atoms = magnet_of(table, "C", units="reduced")
        assert len(atoms) == 2
        assert table.turns_spins is (spin == 2)
        found = exact_conductivity(atoms, OrbitalModel(table, 0.0, filling=0.5), (18, 18, 1), width=1e-3).hall([0.0])[0, 2]
        assert abs(found) == pytest.approx(hall, abs=2e-2)
        higher = haldane(spin)
        higher._site_energies = higher._site_energies + (0.7 * np.eye(2) if spin == 2 else 0.7)
        np.testing.assert_allclose(levels(read_pythtb(higher)), levels(table) + 0.7, atol=1e-12)
    with pytest.raises(ModelError, match="Atoms has no _lat: this reads tb_model of PythTB 1.7 and 1.8"):
        read_pythtb(STRUCTURE)


def test_models_made_by_pythtb() -> None:
    """The real package: its energies at every k, and its Chern number, whose sign here is that of -sigma_xy."""
    pythtb = pytest.importorskip("pythtb")
    for spin in (1, 2):
        like = haldane(spin)
        model = pythtb.tb_model(2, 2, like._lat, like._orb, nspin=spin)
        model.set_onsite(list(like._site_energies))
        for amplitude, i, j, cell in like._hoppings:
            model.set_hop(amplitude, i, j, cell)
        table = read_pythtb(model)
        points = np.stack(np.meshgrid(np.arange(3) / 3, np.arange(2) / 2, indexing="ij"), axis=-1).reshape(-1, 2)
        exact = model.solve_all(points).T
        np.testing.assert_allclose(levels(table), exact if spin == 2 else np.repeat(exact, 2, axis=1), atol=1e-12)
        if spin == 1:
            array = pythtb.wf_array(model, [31, 31])
            array.solve_on_grid([0.0, 0.0])
            chern = array.berry_flux([0]) / (2.0 * np.pi)
            atoms = magnet_of(table, "C", units="reduced")
            found = exact_conductivity(atoms, OrbitalModel(table, 0.0, filling=0.5), (18, 18, 1), width=1e-3).hall([0.0])
            assert found[0, 2] == pytest.approx(-2.0 * chern, abs=2e-2)


class LikeSisl:
    """What is asked of a sisl.Hamiltonian: H(k) with the phases of cells, a supercell, orbitals of atoms, a spin."""

    def __init__(self, kind: str) -> None:
        self.given = matrices(2, kind == "spin-orbit")
        self.no, self.orthogonal = 2, kind != "overlap"
        names = ("is_unpolarized", "is_polarized", "is_nambu")
        self.spin = SimpleNamespace(**{name: name == f"is_{kind}" for name in names})
        self.geometry = SimpleNamespace(
            no=2,
            xyz=STRUCTURE.positions,
            lattice=SimpleNamespace(cell=STRUCTURE.cell.array, nsc=np.array([3, 3, 1])),
            o2a=lambda orbitals: np.asarray(orbitals),
        )

    def Hk(self, k, spin=0, format="csr"):  # noqa: N802
        assert format == "array"
        return (1.0 + spin) * sum(h * np.exp(2j * np.pi * np.dot(k, r)) for r, h in self.given.items())


@pytest.mark.parametrize("kind", ["unpolarized", "polarized", "spin-orbit"])
def test_hamiltonians_of_sisl(kind: str) -> None:
    like = LikeSisl(kind)
    exact = bands(like.given)
    if kind != "spin-orbit":
        exact = np.sort(np.concatenate([exact, exact * (2.0 if kind == "polarized" else 1.0)], axis=1), axis=1)
    np.testing.assert_allclose(levels(read_sisl(like)), exact, atol=1e-12)


def test_hamiltonians_that_are_not_for_these_electrons() -> None:
    with pytest.raises(ModelError, match="not orthogonal"):
        read_sisl(LikeSisl("overlap"))
    with pytest.raises(ModelError, match="pairing"):
        read_sisl(LikeSisl("nambu"))


def test_files_without_sisl_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sisl", None)
    with pytest.raises(ModelError, match="sisl reads x.TSHS, and it is not installed: pip install sisl"):
        read_sisl("x.TSHS")


@pytest.mark.parametrize("spin", ["unpolarized", "polarized", "non-colinear", "spin-orbit"])
def test_hamiltonians_made_and_written_by_sisl(tmp_path: Path, spin: str) -> None:
    """The real package: every spin configuration, in memory and through a file of TranSIESTA; and the same _hr.dat file."""
    sisl = pytest.importorskip("sisl")
    rng = np.random.default_rng(2)
    geometry = sisl.Geometry(
        [[0, 0, 0], [1.0, 0.4, 0]], sisl.Atom("H", R=[1.5, 1.5]), lattice=sisl.Lattice([2, 3, 9], nsc=[3, 3, 1])
    )
    made = sisl.Hamiltonian(geometry, spin=spin)
    for a in range(4):
        for b in range(4):
            made[a, b] = rng.normal(size=made.shape[2]) if made.shape[2] > 1 else rng.normal()
            made[a, b, (1, 0)] = rng.normal(size=made.shape[2]) if made.shape[2] > 1 else rng.normal()
    made = (
        0.5 * (made + made.transpose(spin=True, conjugate=True))
        if spin != "unpolarized"
        else 0.5 * (made + made.transpose())
    )
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in MESH), indexing="ij"), axis=-1).reshape(-1, 3)
    if made.spin.is_polarized:
        parts = [[np.linalg.eigvalsh(made.Hk(k, spin=s, format="array")) for k in points] for s in (0, 1)]
        exact = np.sort(np.concatenate(parts, axis=1), axis=1)
    else:
        exact = np.array([np.linalg.eigvalsh(made.Hk(k, format="array")) for k in points])
        exact = np.repeat(exact, 2, axis=1) if spin == "unpolarized" else exact
    np.testing.assert_allclose(levels(read_sisl(made)), exact, atol=1e-10)
    made.write(tmp_path / "x.TSHS")
    np.testing.assert_allclose(levels(read_sisl(tmp_path / "x.TSHS")), exact, atol=1e-6)


def mytb(given: dict[tuple[int, int, int], np.ndarray], positions: np.ndarray) -> SimpleNamespace:
    """What MyTB of TB2J looks like: half of H(0), and H(R) of one of R and -R (or half of both)."""
    data = {cell: 0.5 * matrix for cell, matrix in given.items()}
    whole = (1, 0, 0)
    data[whole] = given[whole]
    del data[tuple(-x for x in whole)]
    return SimpleNamespace(data=data, positions=positions, atoms=STRUCTURE)


@pytest.mark.parametrize("spins", ["none", "interleaved", "blocks"])
def test_models_of_tb2j(spins: str) -> None:
    """Half matrices and whole ones of one direction; sites from the positions, in any image."""
    given = matrices(spinful=spins != "none")
    places = STRUCTURE.get_scaled_positions() + np.array([[1.0, 0, 0], [0, -1.0, 0]])
    listed = {"none": places, "interleaved": np.repeat(places, 2, axis=0), "blocks": np.tile(places, (2, 1))}[spins]
    table = read_mytb(mytb(given, listed), spins=spins)
    np.testing.assert_allclose(
        levels(table), np.repeat(bands(given), 2, axis=1) if spins == "none" else bands(given), atol=1e-8
    )
    assert table.sites.tolist() == [0, 1]


def test_real_models_of_tb2j(tmp_path: Path) -> None:
    """TB2J reads Wannier90's file; its own H(k) has the table's levels."""
    module = pytest.importorskip("TB2J.myTB", reason="TB2J is not installed (pip install TB2J==0.9.22)")
    write_hr(tmp_path / "x_hr.dat", matrices(spinful=False))
    (tmp_path / "x_centres.xyz").write_text("4\n\nX 0.1 0 0\nX 1.0 1.1 0\nFe 0 0 0\nPt 1 1 0\n")
    model = module.MyTB.read_from_wannier_dir(str(tmp_path), "x", atoms=STRUCTURE)
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in MESH), indexing="ij"), axis=-1).reshape(-1, 3)
    theirs = np.array([np.linalg.eigvalsh(model.gen_ham(k)) for k in points])
    np.testing.assert_allclose(levels(read_mytb(model)), np.repeat(theirs, 2, axis=1), atol=1e-8)
    np.testing.assert_allclose(theirs, bands(matrices(spinful=False)), atol=1e-8)


def test_models_of_tb2j_that_are_none() -> None:
    given = matrices(orbitals=3, spinful=False)
    places = np.zeros((3, 3))
    with pytest.raises(ModelError, match="SimpleNamespace has no data: this reads MyTB of TB2J"):
        read_mytb(SimpleNamespace())
    with pytest.raises(ModelError, match="has no atoms, and sites belong to atoms: model.set_atoms"):
        read_mytb(SimpleNamespace(data=given, positions=places, atoms=None))
    with pytest.raises(ModelError, match="have degeneracies, which TB2J 0.9.22 does not apply"):
        read_mytb(SimpleNamespace(data=given, positions=places, atoms=STRUCTURE, R_degens=np.array([1, 2])))
    with pytest.raises(ModelError, match="3 functions, and spinors come in pairs"):
        read_mytb(mytb(given, places), spins="blocks")
    with pytest.raises(ModelError, match="3 orbitals, and sites names 2"):
        read_mytb(mytb(given, places), [0, 1])


def test_orbitals_belong_to_the_nearest_site_in_any_cell() -> None:
    """Places between sites; the second cell is the first one, slanted."""
    places = np.random.default_rng(2).uniform(-4.0, 4.0, size=(50, 3))
    images = [np.array([x, y, z]) @ STRUCTURE.cell for x in range(-4, 5) for y in range(-4, 5) for z in (-1, 0, 1)]
    away = np.linalg.norm(places[:, None, None] - STRUCTURE.positions[:, None] - np.array(images), axis=3)
    slanted = STRUCTURE.copy()
    slanted.set_cell(np.array([[1, 0, 0], [6, 1, 0], [0, 0, 1]]) @ STRUCTURE.cell.array, scale_atoms=False)
    for structure in (STRUCTURE, slanted):
        assert nearest_sites(structure, places).tolist() == away.min(axis=2).argmin(axis=1).tolist()
