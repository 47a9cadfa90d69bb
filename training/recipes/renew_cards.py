"""Write the trained domain into model files whose cards do not tell it: python training/recipes/renew_cards.py MODEL.npz ...

Positions and fillings are drawn again from the seeds of the label input that the card keeps; no teacher is asked, and the
weights stay as they are.  Models trained now have it from their training.
"""

import sys
from pathlib import Path

from spinase_training.domain import renew_file

for name in sys.argv[1:]:
    renew_file(Path(name), Path.cwd())
    print("renewed", name)
