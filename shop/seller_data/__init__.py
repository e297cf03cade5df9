"""The seller as finance has saved it in the console; until then, as the settings name it."""
