"""A master that speaks only the XML dialect, behind the calls of our own client."""
