"""mHIP-NN: a hierarchical interacting-particle network whose messages carry spins (plain torch)."""
