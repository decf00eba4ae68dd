"""Calibration: a simulator fitted to the choices of training users, and measured before and after on test users."""

from recoworld.evaluation.calibration.result import Calibrated
from recoworld.evaluation.calibration.run import calibrate

__all__ = ["Calibrated", "calibrate"]
