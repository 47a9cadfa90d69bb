"""Write model files again in the present format of cards: python training/recipes/renew_cards.py MODEL.npz ...

The weights stay as they are.  Cards that do not tell the trained domain get it: positions and fillings are drawn again from
the seeds of the label input that the card keeps, no teacher is asked.  Models trained now have it from their training.
"""

import sys
from pathlib import Path

from spinase_training.domain import renew_file

for name in sys.argv[1:]:
    renew_file(Path(name), Path.cwd())
    print("renewed", name)
