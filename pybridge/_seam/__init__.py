"""Where the two languages meet: the only folder that imports the cffi module."""
