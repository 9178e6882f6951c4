"""Messages to customers: workers, transports, and what gateways say of what they were given."""
