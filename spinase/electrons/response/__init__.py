"""What electrons do in answer to a small change: conductivities, and exchange between spins."""

from spinase.electrons.response.chebyshev import chebyshev_conductivity
from spinase.electrons.response.conductivity import Conductivity
from spinase.electrons.response.dense import dense_conductivity, local_density_of_states
from spinase.electrons.response.exchange import NumberResponse, SitePairs, SpinResponse
from spinase.electrons.response.exchange_dense import dense_spin_response
from spinase.electrons.response.exchange_rational import RationalSpinResponse

__all__ = [
    "Conductivity",
    "NumberResponse",
    "RationalSpinResponse",
    "SitePairs",
    "SpinResponse",
    "chebyshev_conductivity",
    "dense_conductivity",
    "dense_spin_response",
    "local_density_of_states",
]
