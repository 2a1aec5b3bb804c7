"""What each answer means for the people who run the router: actions, deadlines, evidence (runbook §4 to §8).

This package must not know how an order is routed; it is told what happened and says what to do about it.
"""
