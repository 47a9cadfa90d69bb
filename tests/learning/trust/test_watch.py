"""The watch over a learned magnet: what is refused, what is told once, what sleeps."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from spinase.errors import ModelError, OutOfDomainError, OutOfDomainWarning
from spinase.geometry import Geometry, find_bonds
from spinase.learning.trust.domain import Domain, boundary_word, pair_name
from spinase.learning.trust.watch import DomainWatch


def square(constant: float = 1.0, periodic: bool = True) -> Geometry:
    x, y = (part.ravel() for part in np.meshgrid(np.arange(4), np.arange(4), indexing="ij"))
    pbc = np.array([periodic, periodic, False])
    places = constant * np.stack([x, y, 0 * x], axis=1).astype(float)
    return Geometry(places, np.diag([4 * constant, 4 * constant, 1.0]), pbc, np.full(16, 26))


DOMAIN = (
    Domain.from_geometries([square()], 1.5)
    .with_moments(np.full(16, 2.0))
    .with_electrons((0.4, 0.5), (-1.0, 1.0))
)  # fmt: skip


def watch(outside: str = "warn", domain: Domain = DOMAIN, must_tell: bool = True) -> DomainWatch:
    return DomainWatch(domain, "iron", outside, must_tell)


def look(one: DomainWatch, geometry: Geometry) -> None:
    one.geometry(geometry, find_bonds(geometry, 1.5))


def silent() -> warnings.catch_warnings:
    """Warnings are errors in all tests; this says that there is none."""
    return warnings.catch_warnings(action="error")


def test_at_home_nothing_is_said() -> None:
    one = watch("error")
    with silent():
        look(one, square())
        one.moments(np.full(16, 2.0))
        one.results({"filling": np.array([[0.45]]), "chemical_potential": np.array([[0.0]])})
        one.require_electrons(0.45, None)
        one.require_bias(0.3)


def test_another_lattice_constant_is_told_once_or_refused() -> None:
    one = watch()
    with pytest.warns(OutOfDomainWarning, match=r"the learned magnet 'iron' has no data for this, its answers may be wrong"):
        look(one, square(1.06))
    with silent():
        look(one, square(1.08))
    with pytest.raises(OutOfDomainError, match=r"are 1.06 apart, where the training had distances of 1, 1.414 only"):
        look(watch("error"), square(1.06))


def test_sites_too_close_are_an_error_even_where_others_are_a_warning() -> None:
    with pytest.raises(OutOfDomainError, match=r"\(Fe-Fe\) are 0.8 apart, the shortest distance trained is 1"):
        look(watch(), square(0.8))
    with silent():
        look(watch("ignore"), square(0.8))


def test_each_kind_of_problem_has_a_warning_of_its_own() -> None:
    one = watch()
    with pytest.warns(OutOfDomainWarning, match="neighbours .* boundaries are fff here and were ppf"):
        look(one, square(periodic=False))
    with pytest.warns(OutOfDomainWarning, match="moment of site 3 has a length of 5, those of the training had 2"):
        one.moments(np.where(np.arange(16) == 3, 5.0, 2.0))
    with pytest.warns(OutOfDomainWarning, match=r"a filling of 0.7 \[electrons per spin-orbital\] is outside"):
        one.results({"filling": np.array([[0.7]]), "chemical_potential": np.array([[0.0]])})


def test_lengths_that_were_looked_at_are_not_looked_at_again() -> None:
    one, long = watch("error"), np.full(16, 5.0)
    with pytest.raises(OutOfDomainError):
        one.moments(long)
    one.moments(long)  # the same question: the driver was told
    with pytest.raises(OutOfDomainError, match="of site 0 has a length of 6"):
        one.moments(np.full(16, 6.0))


def test_spins_off_the_sphere_are_seen_against_their_reference() -> None:
    """Free vectors: the reference lengths are held against the training, moments over them must be units."""
    one, reference = watch("error"), np.full(16, 2.0)
    with silent():
        one.moments(1.01 * reference, reference)
    with pytest.raises(OutOfDomainError, match="spin of site 5 has a length of 1.3 .*the training had unit spins"):
        one.moments(np.where(np.arange(16) == 5, 2.6, 2.0), reference)


def test_sites_without_a_moment_where_all_had_one() -> None:
    with pytest.raises(OutOfDomainError, match="site 7 has no moment, every site of the training had one"):
        watch("error").any_moments(np.where(np.arange(16) == 7, 0.0, 2.0))
    diluted = replace(DOMAIN, nonmagnetic=True)
    with silent():
        watch("error", diluted).any_moments(np.where(np.arange(16) == 7, 0.0, 2.0))


def test_electrons_and_biases_are_refused_before_anything_is_computed() -> None:
    told = "use one the model 'iron' was trained for, or train one for this"
    with pytest.raises(ModelError, match=f"a filling of 0.6 .*{told}"):
        watch().require_electrons(0.6, None)
    with pytest.raises(ModelError, match=f"a chemical potential of 1.5 .*had -1 to 1: {told}"):
        watch().require_electrons(None, 1.5)
    driven = replace(DOMAIN, biases=(-0.5, 0.5))
    with pytest.raises(OutOfDomainError, match=f"a bias of 0.7 .*had -0.5 to 0.5: {told}"):
        watch(domain=driven).require_bias(0.7)
    with silent():
        watch("ignore", driven).require_bias(0.7)
        watch("ignore").require_electrons(0.6, 9.0)


def test_electrons_may_be_off_by_a_hundredth_of_their_range() -> None:
    assert DOMAIN.electron_problem(0.5009, None) is None
    assert DOMAIN.electron_problem(0.5011, None) is not None
    assert DOMAIN.electron_problem(None, -1.019) is None
    assert DOMAIN.electron_problem(None, -1.021) is not None
    assert replace(DOMAIN, biases=(0.0, 1.0)).bias_problem(1.009) is None
    assert replace(DOMAIN, fillings=None).electron_problem(0.9, None) is None


def test_what_a_card_does_not_tell_is_said_once() -> None:
    bare = Domain(1.5, {})
    one = watch(domain=bare)
    with pytest.warns(
        OutOfDomainWarning, match="does not tell the shortest distances, coordination numbers, boundaries, le"
    ):
        look(one, square())
    with silent():
        look(one, square(0.5))
        look(watch(domain=bare, must_tell=False), square())
    assert DOMAIN.unknown() == []


def test_nothing_else_than_three_words_is_understood() -> None:
    with pytest.raises(ModelError, match="outside_domain must be 'warn', 'error' or 'ignore', got 'never'"):
        watch("never")
    assert watch("ignore").sleeps
    assert not watch().sleeps


def test_a_domain_is_told_in_one_line() -> None:
    words = DOMAIN.describe()
    electrons = "fillings 0.4 to 0.5, chemical potentials -1 to 1"
    assert words == f"neighbours within 1.5: Fe-Fe at 1: 4; Fe-Fe at 1.414: 4, boundaries ppf, {electrons}"
    assert Domain(1.5, {"Fe-Fe": 1.0}).describe().startswith("distances from 1 (Fe-Fe), not told: coordination numbers")
    assert "biases -0.5 to 0.5" in replace(DOMAIN, biases=(-0.5, 0.5)).describe()


def test_densities_belong_to_magnets_that_fill_space() -> None:
    places = np.array(np.meshgrid(*[np.arange(3.0)] * 3)).reshape(3, -1).T
    cube = Geometry(places, 3.0 * np.eye(3), np.ones(3, dtype=bool), np.full(27, 26))
    dense = replace(Domain.from_geometries([cube], 1.2), shells=(), shortest={})
    assert dense.density == (pytest.approx(1.0), pytest.approx(1.0))
    assert DOMAIN.density is None
    thin = Geometry(places, np.diag([3.0, 3.0, 4.0]), np.ones(3, dtype=bool), np.full(27, 26))
    problem = dense.problem(thin)
    assert str(problem) == "there are 0.75 sites per volume, the training had 1"
    assert dense.problem(Geometry(places, 3.2 * np.eye(3), np.ones(3, dtype=bool), np.full(27, 26))) is not None
    assert dense.problem(Geometry(places, 3.09 * np.eye(3), np.ones(3, dtype=bool), np.full(27, 26))) is None


def test_names_of_pairs_and_boundaries() -> None:
    assert pair_name(26, 27) == pair_name(27, 26) == "Co-Fe"
    assert boundary_word(square()) == "ppf"


def test_moments_of_a_training_have_a_range_or_none() -> None:
    told = Domain(1.5, {}).with_moments(np.array([[1.0, 0.0], [2.5, 2.0]]))
    assert (told.lengths, told.nonmagnetic) == ((1.0, 2.5), True)
    none = Domain(1.5, {}).with_moments(np.zeros(3))
    assert (none.lengths, none.nonmagnetic) == (None, True)
    assert Domain(1.5, {}).with_moments(np.ones(3)).nonmagnetic is False
