"""Adapters and composition of the loyalty server."""
