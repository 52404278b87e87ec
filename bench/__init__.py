"""What Erlen costs beside other frameworks. ``python -m bench --help`` says how to ask."""
