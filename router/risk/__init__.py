"""May the portfolio bear this order? Limits, holds and the stage that reserves before it lets pass.

Positions plus working orders count, in their worst case. This package must not know executors or safety controls.
"""

from router.risk.limits import LiveRiskLimits

__all__ = ["LiveRiskLimits"]
