"""One file for each acquirer. A module that defines PROVIDER is found by itself."""
