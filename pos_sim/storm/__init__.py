"""Tills that quote, sell, void, refund and spend at random while servers are killed under them."""
