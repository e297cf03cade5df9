"""Live order pages: one Redis subscriber per process, one rendering per change, one stream per open page.

The page Live of the console has a WebSocket, which the same subscriber wakes.
"""

from shop.live.console import blueprint as console
from shop.live.sse import blueprint as sse

BLUEPRINTS = (sse, console)
