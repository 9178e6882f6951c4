"""`loyaltyctl`: what an operator types. A client of BackOfficeService, and operator commands."""
