"""Did it get better, and how sure are we? One page that opens offline, the same for a README and for machines."""

from launch.report.render import run, terminal
from launch.report.settings import ReportSettings

__all__ = ["ReportSettings", "run", "terminal"]
