"""What Erlen costs beside other frameworks: ``python -m bench --help`` says how to ask.

``forms``, ``routing`` and ``templating`` are programs of their own, for one part of Erlen each.
"""
