r"""Noise of the currents through a device: fluctuations of heat, and those of electrons that arrive one by one.

.. math:: \hbar S_{ab} = \int\frac{dE}{2\pi} \sum_{cd} \mathrm{Tr}[A_{cd}(a) A_{dc}(b)]\,
          \{f_c(1-f_d) + f_d(1-f_c)\},\qquad A_{cd}(a) = \delta_{ac}\delta_{ad} - s_{ac}^\dagger s_{ad}

with s the scattering matrix, f_c the Fermi functions of the leads, and S_ab the spectral density at zero frequency of the
electrons that enter from a and b, S = int dt <dI_a(t) dI_b(0) + dI_b(0) dI_a(t)>.  With
f(1-f') + f'(1-f) = f(1-f) + f'(1-f') + (f-f')^2 it is a thermal part and a part of its own, the shot noise.  Two leads of
one temperature without a bias have S = 4 kT G (Johnson, Nyquist), channels of transmission T at kT = 0 the shot noise
2 |I| (1 - T).

Source: M. Buettiker, Phys. Rev. B 46, 12485 (1992); Ya. M. Blanter, M. Buettiker, Phys. Rep. 336, 1 (2000), section 2.4.
"""

from __future__ import annotations

import numpy as np

from spinase.electrons.occupation import fermi
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.negf import NEGFPlan
from spinase.electrons.transport.layered import Scattering
from spinase.electrons.transport.quadrature import integrate
from spinase.typing import FloatArray


def correlations(scattering: Scattering, leads: int) -> FloatArray:
    """Tr[A_cd(a) A_dc(b)], (leads, leads, leads, leads) by a, b, c, d, the part that is even in c, d."""
    owner = np.eye(leads)[scattering.leads]
    matrix = scattering.matrix
    found = np.array([np.diag(row) - (matrix.conj().T * row) @ matrix for row in owner.T])
    return np.asarray(np.einsum("aij,bij,ic,jd->abcd", found, found.conj(), owner, owner, optimize=True).real)


def noise_parts(plan: NEGFPlan, operator: SpinOperator) -> FloatArray:
    """Thermal part and shot noise of the currents, (2, leads, leads), hbar electrons^2/time, energy.

    Parameters
    ----------
    plan : NEGFPlan
        The device under its bias.
    operator : SpinOperator
        Its electrons.

    Raises
    ------
    ConvergenceError
        If the tolerance of the plan's drive is not reached.
    """
    plan.pattern.require(operator)
    leads = len(plan.leads)
    mu, kT = plan.terminals.levels()

    def function(energies: FloatArray) -> FloatArray:
        """Both parts at the energies, flat rows (K, 2 leads^2)."""
        filled = np.stack([fermi(energies, m, t) for m, t in zip(mu, kT, strict=True)], axis=1)
        heat = filled * (1.0 - filled)
        weights = np.stack([heat[:, :, None] + heat[:, None, :], (filled[:, :, None] - filled[:, None, :]) ** 2], axis=1) / (
            2.0 * np.pi
        )
        found = np.array([correlations(one, leads) for one in plan.device.scattering(operator, energies)])
        return np.einsum("kabcd,kpcd->kpab", found, weights).reshape(len(energies), -1)

    breaks = plan.breaks(list(range(leads)), list(range(leads)))
    if not len(breaks):
        return np.zeros((2, leads, leads))
    rule = integrate(function, breaks, plan.drive.tolerance, plan.marks, plan.drive.max_energies)
    return rule.value.reshape(2, leads, leads)


__all__ = ["correlations", "noise_parts"]
