"""The report's own plots, each a function from numbers to inline SVG (`data.svg`)."""

from regress.figures.coverage import coverage_axis, coverage_row
from regress.figures.curves import curve
from regress.figures.decomposition import Point, plane
from regress.figures.groups import Group, calibration, reliability
from regress.figures.rates import density, distribution
from regress.figures.skills import SkillAxis, gap, skill, skill_axis
from regress.figures.strata import GainAxis, gains

__all__ = [
    "GainAxis",
    "Group",
    "Point",
    "SkillAxis",
    "calibration",
    "coverage_axis",
    "coverage_row",
    "curve",
    "density",
    "distribution",
    "gains",
    "gap",
    "plane",
    "reliability",
    "skill",
    "skill_axis",
]
