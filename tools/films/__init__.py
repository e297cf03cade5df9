"""Short films of the demo: shop and acquirer side by side, as animated WebP files in `docs/films/`.

.venv/bin/python -m tools.films            # all of them; or the names of some
"""
