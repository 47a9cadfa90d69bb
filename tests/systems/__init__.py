"""Magnets, devices and calculators that tests of several rooms use."""
