"""Where the money is: double entry, every journal balanced or refused."""
