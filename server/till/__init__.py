"""The calls of a till: each fetches, lets a pure function decide, and writes."""
