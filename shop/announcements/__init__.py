"""Announcements above the pages of the shop, such as a holiday notice."""
