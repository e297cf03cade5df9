"""What staff do from a shell; one file per subject."""
