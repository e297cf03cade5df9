"""Live order pages: one Redis subscriber per process, one rendering per change, one stream per open page."""

from shop.live.sse import blueprint as sse

BLUEPRINTS = (sse,)
