"""What Erlen costs beside other frameworks: ``python -m bench --help`` says how to ask.

``forms``, ``pool``, ``routing`` and ``templating`` are programs of their own, for one part each.
"""
