"""Training of learned magnets: recipes, a thin driver on hippynn's trainer, figures, validation."""

import torch

# hippynn makes sparse tensors when it is imported; torch warns of crashes until somebody has chosen: this is its default
torch.sparse.check_sparse_tensor_invariants.disable()
