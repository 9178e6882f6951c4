"""Poor links on purpose: a proxy that does harm by a plan, tills that measure, books that judge."""
