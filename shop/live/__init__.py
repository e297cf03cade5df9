"""Live order pages: one Redis subscriber per process, one rendering per change, one stream per open page.

The page Live of the console and programs that watch an order have WebSockets, which the same subscriber wakes.
"""

from shop.live import console, order_socket, sse

BLUEPRINTS = (sse.blueprint, console.blueprint, order_socket.blueprint)
