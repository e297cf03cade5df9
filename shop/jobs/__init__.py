"""Background work. Database rows with a due time are authoritative; the clock finds them, and RQ does the work sooner
and in parallel.
"""
