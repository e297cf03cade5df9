"""Tests of uploaded pictures."""
