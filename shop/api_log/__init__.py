"""Log of API calls: written in the background, searched by staff, kept 30 days."""
