"""Working days of support and finance in the console, in browsers, on the demo of the other journeys."""
