"""Simulated tills: a black-box gRPC client of the server, which knows nothing but the contract."""
