"""Frames of runs in files of other programs, and initial spins from such files."""

from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile
from spinase.io.exports.initial import match_sites, read_spins, spins_from_file

__all__ = ["ExportFormat", "ExportOptions", "SpinFile", "match_sites", "read_spins", "spins_from_file"]
