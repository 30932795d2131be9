"""A space-time diagram of what happened in a simulated world, as one HTML file."""
