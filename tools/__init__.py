"""Development tools: `runner` (bin/run, bin/test) and `docs` (generated pages)."""
