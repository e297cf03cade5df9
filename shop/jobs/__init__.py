"""Later work: rows with a due time are the truth; the clock finds them, and RQ does them sooner and in parallel."""
