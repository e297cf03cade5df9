"""Development tools: `runner` (bin/run, bin/test, bin/demo), `docs` (generated pages), `translations` and `films`."""
