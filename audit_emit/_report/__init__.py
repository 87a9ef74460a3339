"""A report on a log for a period: figures, each with the query that repeats it, for auditors.

One pass over the log feeds the verifier and the tally. The report itself is data (``model.py``);
the formats below ``formats/`` write it down.
"""
