"""A model as a web page and an API."""
