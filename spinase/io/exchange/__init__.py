"""Exchange tensors from and for other codes: TB2J's folder of results, UppASD's jfile and Vampire's unit cell file.

Each reader ends in one convention (:class:`~spinase.classical.BondTable`): unit spins, each pair once, eV, -s_i.J_ij s_j.

=========  =======================  ==================  ========================================================
code       energy of its entries    unit                pair energy here
=========  =======================  ==================  ========================================================
TB2J       -sum_{i != j} (twice)    eV                  J(i,j) + J(j,i)^T of the file, that is twice its J
UppASD     -sum_{i != j} (twice)    mRy                 likewise
Vampire    -sum_{i < j} (once)      J                   half of J(i,j) + J(j,i)^T: its J (both directions are listed)
=========  =======================  ==================  ========================================================

In TB2J D stands for -D.(s_i x s_j), and so it does in UppASD from version 6.1 on; up to 6.0.2 its energies and fields had
the other sign: :func:`read_uppasd` takes the version.  Vampire has D in the tensor.

What a file says is read or refused by name: unknown keywords, elements and columns, announced counts that are wrong, numbers
cut short, bonds listed in one direction only.
"""

from spinase.io.exchange.tb2j import read_tb2j
from spinase.io.exchange.tb2j_writer import write_tb2j
from spinase.io.exchange.uppasd import UppasdModel, read_uppasd, read_uppasd_model
from spinase.io.exchange.vampire import read_vampire
from spinase.io.exchange.writers import write_uppasd, write_vampire

__all__ = [
    "UppasdModel",
    "read_tb2j",
    "read_uppasd",
    "read_uppasd_model",
    "read_vampire",
    "write_tb2j",
    "write_uppasd",
    "write_vampire",
]
