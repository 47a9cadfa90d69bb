"""How far a learned model is to be trusted: the domain of its training and error bars."""
