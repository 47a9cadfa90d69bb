"""Spin models of DeePMD-kit (DeepSPIN) as a calculator of spinase: positions and moments in, forces and fields out."""

from spinase_deepspin.calculator import DeepSpinCalculator

__all__ = ["DeepSpinCalculator"]
