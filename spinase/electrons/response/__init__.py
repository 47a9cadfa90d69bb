"""What electrons do in a small field: conductivities."""

from spinase.electrons.response.chebyshev import chebyshev_conductivity
from spinase.electrons.response.conductivity import Conductivity
from spinase.electrons.response.dense import dense_conductivity, local_density_of_states

__all__ = ["Conductivity", "chebyshev_conductivity", "dense_conductivity", "local_density_of_states"]
