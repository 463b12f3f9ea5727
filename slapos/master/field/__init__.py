"""The XML dialect of the field (spec/01): callers and their claims, one table of endpoints, one function for each."""
