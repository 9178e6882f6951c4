"""Protobuf to domain types and back: total functions, checked at the edge, no decisions."""
