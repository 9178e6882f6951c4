"""The cash server: relays the tills of a region, and keeps what a poor link holds up."""
