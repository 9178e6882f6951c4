"""Compiled kernels over flat integers; each has a reference twin in `rewards`."""
