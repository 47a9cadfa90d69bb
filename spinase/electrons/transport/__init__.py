"""Open devices: leads, their self-energies, layered Green's functions, currents."""
