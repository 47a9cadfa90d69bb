"""The recursions of the KPM solver in plain torch: for GPUs, and as a second opinion on the compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spinase.electrons.chebyshev.columns import Columns
from spinase.electrons.chebyshev.engine import ChebyshevEngine, Precision, RawDensity
from spinase.electrons.chebyshev.series import Band
from spinase.electrons.operator import SpinOperator, split_blocks
from spinase.typing import FloatArray

_CHUNK = 256  # columns that go together


class TorchEngine(ChebyshevEngine):
    """Spinor columns as complex tensors (N, 2, columns) on any device; see :class:`ChebyshevEngine`.

    Parameters
    ----------
    operator, band, columns, seed
        As of the compiled engine.
    dtype : str
        ``"float32"`` (complex64) or ``"float64"``.
    device : str or None
        Default: ``"cuda"`` if there is one.
    """

    def __init__(
        self, operator: SpinOperator, band: Band, columns: Columns, seed: int, dtype: Precision, device: str | None
    ) -> None:
        self.columns, self.seed, self.sites = columns, seed, len(operator)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.kind = torch.complex64 if dtype == "float32" else torch.complex128
        x, y, z = operator.exchange.T / band.half
        scalar = (operator.onsite - band.centre) / band.half
        blocks = np.stack([scalar + z, x - 1j * y, x + 1j * y, scalar - z], axis=1).reshape(-1, 2, 2)
        self._blocks = self._tensor(blocks)
        first, second = operator.bonds.first, operator.bonds.second
        self.turning = operator.spin_hopping is not None
        self._hopping = _table(operator, band, self.kind).to(self.device)
        self._first, self._second = (torch.from_numpy(ends.copy()).to(self.device) for ends in (first, second))
        self._steps = 0

    def moments(self, steps: int) -> FloatArray:
        """See :class:`ChebyshevEngine`."""
        self._steps = steps
        result = np.zeros(2 * steps + 1)
        for start in range(0, self.columns.count, _CHUNK):
            norms, crosses, _, _ = self._forward(start, steps)
            result[0] += norms[0]
            result[1] += crosses[0]
            result[2::2] += 2.0 * norms[1:] - norms[0]
            result[3::2] += 2.0 * crosses[1:] - crosses[0]
        return self.columns.weight * result

    def gradient(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """See :class:`ChebyshevEngine`."""
        steps, c = self._steps, coefficients
        opening = c[1] - c[3::2].sum()
        total = self._zero(bonds)
        for start in range(0, self.columns.count, _CHUNK):
            _, _, here, ahead = self._forward(start, steps)  # a_{K-1}, a_K
            over = 4.0 * c[2 * steps] * ahead + (2.0 * c[2 * steps - 1] if steps > 1 else c[1]) * here
            under = torch.zeros_like(over)
            for m in range(steps - 1, 0, -1):
                self._contract(total, here, over, 2.0, bonds)
                behind = 2.0 * self._apply(here) - ahead
                last = opening if m == 1 else 2.0 * c[2 * m - 1]
                source = 4.0 * c[2 * m] * here + 2.0 * c[2 * m + 1] * ahead + last * behind
                over, under = 2.0 * self._apply(over) - under + source, over
                here, ahead = behind, here
            self._contract(total, here, over, 1.0, bonds)
        return self._raw(total)

    def direct(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """See :class:`ChebyshevEngine`."""
        total = self._zero(bonds)
        for start in range(0, self.columns.count, _CHUNK):
            source = self._fill(start)
            here, ahead = source, self._apply(source)
            answer = coefficients[0] * here + coefficients[1] * ahead
            for c in coefficients[2:]:
                here, ahead = ahead, 2.0 * self._apply(ahead) - here
                answer += c * ahead
            self._contract(total, answer, source, 1.0, bonds)
        return self._raw(total)

    def series(self, order: int, sites: Any) -> FloatArray:
        """See :class:`ChebyshevEngine`."""
        terms = np.zeros((order + 1, len(sites), 4))
        for start in range(0, self.columns.count, _CHUNK):
            source = self._fill(start)
            here, ahead = source, self._apply(source)
            for m in range(order + 1):
                total = self._zero(False)
                self._contract(total, here, source, 1.0, False)
                terms[m] += self._raw(total).sites[sites]
                here, ahead = ahead, (2.0 * self._apply(ahead) - here)
        return terms

    def _forward(self, start: int, steps: int) -> tuple[FloatArray, FloatArray, torch.Tensor, torch.Tensor]:
        """Norms (steps + 1,), crosses (steps,), and the last two vectors."""
        here = self._fill(start)
        ahead = self._apply(here)
        norms, crosses = [_dot(here, here)], [_dot(ahead, here)]
        for _ in range(1, steps):
            here, ahead = ahead, 2.0 * self._apply(ahead) - here
            norms.append(_dot(here, here))
            crosses.append(_dot(ahead, here))
        norms.append(_dot(ahead, ahead))
        return torch.stack(norms).cpu().numpy(), torch.stack(crosses).cpu().numpy(), here, ahead

    def _apply(self, vectors: torch.Tensor) -> torch.Tensor:
        hopped = torch.sparse.mm(self._hopping, vectors.reshape(self._hopping.shape[0], -1)).reshape(vectors.shape)
        return torch.baddbmm(hopped, self._blocks, vectors)

    def _fill(self, start: int) -> torch.Tensor:
        count = min(_CHUNK, self.columns.count - start)
        block = np.zeros((self.sites, 4, count))
        self.columns.fill(block, start, self.seed, np.arange(self.sites))
        return self._tensor(block[:, 0::2] + 1j * block[:, 1::2])

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device=self.device, dtype=self.kind)

    def _zero(self, bonds: bool) -> list[torch.Tensor]:
        sites = torch.zeros((self.sites, 2, 2), dtype=torch.complex128, device=self.device)
        shape = (len(self._first) if bonds else 0, *((2, 2) if self.turning else ()))
        pairs = torch.zeros(shape, dtype=torch.complex128, device=self.device)
        return [sites, pairs]

    def _contract(
        self, total: list[torch.Tensor], one: torch.Tensor, other: torch.Tensor, factor: float, bonds: bool
    ) -> None:
        """total += factor Herm(one other+) on the pattern."""
        blocks = torch.einsum("iac,ibc->iab", one, other.conj())
        total[0] += 0.5 * factor * (blocks + blocks.mH)
        if bonds:
            i, j = self._first, self._second
            if self.turning:
                there = torch.einsum("nac,nbc->nab", one[i], other[j].conj())
                back = torch.einsum("nac,nbc->nab", other[i], one[j].conj())
            else:
                there = (one[i] * other[j].conj()).sum(dim=(1, 2))
                back = (other[i] * one[j].conj()).sum(dim=(1, 2))
            total[1] += 0.5 * factor * (there + back)

    def _raw(self, total: list[torch.Tensor]) -> RawDensity:
        blocks, pairs = (part.cpu().numpy() for part in total)
        up, down, flip = blocks[:, 0, 0].real, blocks[:, 1, 1].real, blocks[:, 1, 0]
        sites = np.stack([up + down, 2.0 * flip.real, 2.0 * flip.imag, up - down], axis=1)
        bonds = split_blocks(pairs) if self.turning else (pairs.astype(np.complex128),)
        return RawDensity(sites, *bonds).scaled(self.columns.weight)


def _table(operator: SpinOperator, band: Band, kind: torch.dtype) -> torch.Tensor:
    """The rescaled hopping as a sparse matrix of the sites, or, where it turns spins, of the orbitals 2 i + s."""
    entries, first, second = operator.bond_entries() / band.half, operator.bonds.first, operator.bonds.second
    size = len(operator)
    if entries.ndim == 3:
        size, spins = 2 * size, [(s, r) for s in (0, 1) for r in (0, 1)]
        there = np.concatenate([entries[:, s, r] for s, r in spins])
        first, second = (
            np.concatenate([2 * first + s for s, _ in spins]),
            np.concatenate([2 * second + r for _, r in spins]),
        )
    else:
        there = entries
    rows, near = np.concatenate([first, second]), np.concatenate([second, first])
    values = np.concatenate([there, there.conj()])
    places = torch.from_numpy(np.stack([rows, near]))
    table = torch.sparse_coo_tensor(places, torch.from_numpy(values), (size, size), dtype=kind, check_invariants=True)
    return table.coalesce()


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Re <one|other>, summed in double precision."""
    a, b = torch.view_as_real(one), torch.view_as_real(other)
    return (a * b).sum(dim=(1, 2, 3), dtype=torch.float64).sum()
