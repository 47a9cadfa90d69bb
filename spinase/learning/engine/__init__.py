"""The network with derivatives written by hand, in compiled loops on the CPU."""
