"""Models for other engines: the folder that they read, and whether what each writes is the same."""
