"""Declared events against what is there: a log, a program's source; and pages and files of them."""
