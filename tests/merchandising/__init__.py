"""Tests of lists and files of products."""
