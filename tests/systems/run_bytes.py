"""What is compared when two runs must be the same to the last bit."""

from __future__ import annotations

from pathlib import Path

import h5py


def content(path: Path) -> dict[str, bytes]:
    """Bytes of every dataset."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return found
