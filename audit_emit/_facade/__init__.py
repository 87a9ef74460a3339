"""What commands and adapters need of the library, and applications do not: one module per subject.

``cli`` and ``integrations`` use public names, and these. So the parts below may be rebuilt without
a look at 50 modules, and this folder lists in one place what the outer ones rely on. Nothing is
made here: each module passes names on, and a name that nobody needs any more has to go (tests).
"""
