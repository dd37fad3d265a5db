"""The manager: the process of a store that starts, watches and stops its runs."""
