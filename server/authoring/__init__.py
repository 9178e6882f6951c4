"""Programs on their way to be published, worked on in a process of their own."""
